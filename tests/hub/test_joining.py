"""From admission to the feed: first bytes, positions, resuming."""

import asyncio
import logging
import zlib

import pytest

from heliograph import (
    BrokerUnavailableError,
    Event,
)
from heliograph.channels.position import Position, Positions
from heliograph.wire.coding import Coding
from hubs import gap_of, opened, opening_of, resume
from streams import HEAD, StreamParser, connect, until


@pytest.mark.parametrize("open_event", [True, False])
async def test_first_bytes_come_at_once(url, open_event):
    """Head, comment, reconnection time and position come before any event, in one block."""
    async with opened(url, retry_ms=1000, open_event=open_event) as hub:
        client = await connect(hub, "a").placed()

    assert client.raw.startswith(HEAD + b":\nretry: ")
    assert 500 <= client.parser.reconnection_time_ms <= 1500
    assert Positions.parse(client.parser.last_event_id, ("a",))["a"].offset == 0
    (block, rest) = client.body.split(b"\n\n")
    assert (block.count(b"\nretry: "), block.count(b"\nid: "), rest) == (1, 1, b"")
    assert block.count(b"\nevent: heliograph.open\n") == open_event
    assert block.count(b"\ndata: ") == open_event


def id_at(epoch, offset, *others):
    return Positions({name: Position(epoch, offset) for name in ("a", *others)}).id


# (the client's id, by the epoch; offset in the opening, whether it says that the stream resumes,
# reason of a gap; data of what follows). The events 1 to 6 were published, 4 to 6 are kept, and
# the fifth has an id of its publisher. Add a row, not a test.
OPENINGS = {
    "now": (lambda _: None, 6, False, None, ""),
    "nothing-missed": (lambda epoch: id_at(epoch, 6), 6, True, None, ""),
    "missed": (lambda epoch: id_at(epoch, 4), 4, True, None, "56"),
    "own-id": (lambda _: "own", 5, True, None, "6"),
    "trimmed": (lambda epoch: id_at(epoch, 1), 1, True, "trimmed", "456"),
    "epoch": (lambda _: id_at("e", 6), 6, True, "epoch", "456"),
    "ahead": (lambda epoch: id_at(epoch, 9), 9, True, "unknown", ""),
    "junk": (lambda _: "junk", 6, False, "unknown", ""),
    "other-channels": (lambda epoch: id_at(epoch, 6, "b"), 6, False, "unknown", ""),
}


@pytest.mark.parametrize("opening", OPENINGS)
async def test_opening(url, opening):
    """It comes first and once, and who is cut off right after it resumes from its id."""
    last_event_id, offset, resumed, reason, missed = OPENINGS[opening]
    async with opened(url, events=3, log_events=3, heartbeat_seconds=7.0) as hub:
        for n in range(1, 7):
            event = Event(str(n), id="own" if n == 5 else None)
            (entry,) = await hub.publish(["a"], event)
        epoch = entry.position.epoch

        client = await connect(hub, "a", last_event_id=last_event_id(epoch)).placed()
        if reason is not None:
            assert await gap_of(client) == {"a": reason}
        await client.wait(len(missed) + (reason is not None))
        says = opening_of(client)
        again = await connect(hub, "a", last_event_id=says["id"]).placed()
        await hub.publish(["a"], Event("live"))

        assert says == {
            "id": id_at("e" if opening == "epoch" else epoch, offset),
            "channels": ["a"],
            "resumed": resumed,
            "heartbeat_seconds": 7.0,
        }
        # What is missing for an unknown id is not repeated: the opening has a new position.
        for one, has_gap in ((client, reason is not None), (again, resumed and reason)):
            if has_gap:
                assert await gap_of(one) == {"a": reason}
            await one.wait(bool(has_gap) + len(missed) + 1)
            assert one.data[bool(has_gap) :] == [*missed, "live"]
        assert opening_of(again)["resumed"] is True


async def test_jitter():
    """Clients do not all come back in the same instant."""
    async with opened(retry_ms=100_000) as hub:
        clients = [await connect(hub, "a").placed() for _ in range(20)]

    assert len({client.parser.reconnection_time_ms for client in clients}) > 10


async def test_resume_misses_nothing(url):
    """A client that was away is given what it missed, then goes on live."""
    async with opened(url) as hub:
        client = await connect(hub, "a", "b").placed()
        await hub.publish(["a"], Event("1"))
        await client.wait(1)
        client.leave()
        for n, channel in enumerate("abab"):
            await hub.publish([channel], Event(f"{n + 2}"))

        back = await resume(hub, client, "a", "b")
        await back.wait(4)
        await hub.publish(["b"], Event("6"))

        assert [e.data for e in await back.wait(5)] == ["2", "3", "4", "5", "6"]


async def test_resume_without_having_seen_an_event(url):
    """A client that was cut off before its first event resumes from the opening."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        client.leave()
        await hub.publish(["a"], Event("1"))

        back = await resume(hub, client, "a")

        assert [e.data for e in await back.wait(1)] == ["1"]


async def test_resume_with_nothing_missed(url):
    """There is no gap where there is none, and nothing comes twice."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("1"))
        await client.wait(1)

        back = await (await resume(hub, client, "a")).placed()
        await hub.publish(["a"], Event("2"))

        assert [e.data for e in await back.wait(1)] == ["2"]


async def test_publishing_while_clients_come_back(url):
    """Joining in the middle of a burst leaves no hole and sends nothing twice."""
    async with opened(url, log_events=20) as hub:
        stop = False
        published = 0

        async def publish():
            nonlocal published
            while not stop:
                await hub.publish(["a"], Event(str(published)))
                published += 1
                await asyncio.sleep(0)

        publisher = asyncio.create_task(publish())
        seen = []
        client = await connect(hub, "a").placed()
        for _ in range(30):
            count = len(seen) + 20
            await client.wait(20)
            seen += client.data
            client = await resume(hub, client, "a")
            assert len(seen) >= count
        stop = True
        await publisher

    assert seen == [str(n) for n in range(int(seen[0]), int(seen[0]) + len(seen))]


async def test_streams_open_while_the_broker_is_away(tmp_path, caplog):
    """They get heartbeats, publishing fails by name, and all is well when it is back."""
    caplog.set_level(logging.WARNING)
    folder = tmp_path / "later"
    async with opened(f"sqlite:///{folder}/log", heartbeat_seconds=0.05) as hub:
        client = connect(hub, "a")
        await client.wait_for(lambda c: c.body.count(b":\n") >= 2)
        with pytest.raises(BrokerUnavailableError, match="later/log"):
            await hub.publish(["a"], Event("x"))
        assert hub.statistics().broker_available is False
        assert caplog.text.count("unavailable") == 1

        folder.mkdir()

        await client.placed()
        # The heartbeats before it, too, are no block of their own.
        assert client.body.count(b"\n\n") == 1
        assert opening_of(client)["resumed"] is False
        await hub.publish(["a"], Event("y"))
        assert [e.data for e in await client.wait(1)] == ["y"]
        assert hub.statistics().broker_available is True
        assert caplog.text.count("available again") == 1


async def test_closing_while_the_broker_is_away(tmp_path):
    """A client that waits for its position gets the head of its response, so it reconnects."""
    async with opened(f"sqlite:///{tmp_path}/missing/log") as hub:
        client = connect(hub, "a")
        await asyncio.sleep(0)  # it begins to wait

    await client.ended()
    assert client.raw == HEAD


async def test_leaving_while_the_broker_is_away(tmp_path):
    """A client that gives up waiting leaves nothing behind."""
    async with opened(f"sqlite:///{tmp_path}/missing/log", linger_seconds=0) as hub:
        client = connect(hub, "a")
        await client.read()
        client.leave()

        await until(lambda: hub.statistics().channels == 0)


@pytest.mark.parametrize("last_event_id", [None, "x"])
async def test_a_fault_at_the_last_step(monkeypatch, caplog, last_event_id):
    """A client that cannot be given a cursor reconnects, whether or not it had to catch up."""

    def broken(self, subscriber, heads):
        raise ZeroDivisionError("a bug")

    async with opened() as hub:
        await connect(hub, "a", "b").placed()
        monkeypatch.setattr("heliograph.hub.feeds.Feeds.join", broken)

        await connect(hub, "a", last_event_id=last_event_id).ended()

        assert hub.statistics().subscribers == 1
        assert hub._clients._joining._under_way == hub._feeds._joining == {}
    assert "a bug" in caplog.text


async def test_a_fault_of_ours_ends_the_stream(monkeypatch, caplog):
    """A bug in catching up must not leave a client waiting for ever."""

    async def broken(self):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("heliograph.hub.catch_up.CatchUp.advance", broken)
    async with opened() as hub:
        client = await connect(hub, "a", last_event_id="x").ended()

        assert hub.statistics().subscribers == 0
    assert client.events == []
    assert "a bug" in caplog.text


@pytest.mark.parametrize("coding", Coding)
async def test_a_compressed_stream(coding):
    """From its first byte on, also if it ends before it has begun."""
    async with opened() as hub:
        client = connect(hub, "a", coding=coding)
        await client.wait_for(lambda c: len(c.body) > 100)
        late = connect(hub, "a", coding=coding)
        greeting = hub.greeting(late.ticket, coding)
        await hub.disconnect("a")
        await client.ended()
        await until(lambda: hub.statistics().subscribers == 0)
        ended = hub.greeting(late.ticket, coding)

    for body, beginning in [
        (client.body, b":\nretry: "),
        (greeting, b":\n"),
        (ended, b":\n"),
    ]:
        decoder = zlib.decompressobj(wbits=31)
        plain = body if coding is Coding.IDENTITY else decoder.decompress(body)
        assert plain.startswith(beginning)


@pytest.mark.parametrize("coding", Coding)
async def test_a_stream_that_is_cut_anywhere(coding):
    """Its client has the first events, each whole, and resumes after the last one of them."""
    async with opened() as hub:
        client = connect(hub, "a", coding=coding)
        await until(lambda: len(hub._feeds) == 1)
        for n in range(9):
            await hub.publish(["a"], Event(f"{n} {'some text ' * (3 * n)}"))
        await until(lambda: hub.statistics().entries == 9)
        await hub.disconnect("a")
        body = (await client.ended()).body

    ids = {"": -1}
    for end in range(len(body) + 1):
        decoder = zlib.decompressobj(wbits=31)
        parser, part = StreamParser(), body[:end]
        events = parser.feed(
            part if coding is Coding.IDENTITY else decoder.decompress(part)
        )

        assert [int(event.data.split()[0]) for event in events] == list(range(len(events)))
        last = len(events) - 1 if parser.openings else -1
        assert ids.setdefault(parser.last_event_id, last) == last
    assert len(events) == 9
    assert len(ids) == 11
