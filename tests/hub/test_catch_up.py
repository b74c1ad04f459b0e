"""Catching up: replay from logs and from the broker, and gaps."""

import asyncio
import contextlib
import dataclasses
import json

import pytest

from heliograph import (
    Event,
    HubConfig,
)
from heliograph.brokers import Retention, Terms
from heliograph.brokers.memory import MemoryBroker
from heliograph.channels.position import Position, Positions
from heliograph.hub import Admission
from heliograph.hub.hub import Hub
from heliograph.hub.timings import DEFAULT_TIMINGS
from hubs import Taking, damage, gap_of, opened, opening_of, resume
from streams import StreamParser, connect, until


async def test_who_catches_up_from_memory_lets_others_go_on():
    """However many channels, and however fast the client is."""
    names = tuple(f"c{n:02}" for n in range(64))
    async with opened(log_events=100) as hub:
        warm = await connect(hub, *names).placed()
        entries = await hub.publish(names, Event("first"))
        await warm.wait(64)
        start = Positions({entry.channel: entry.position for entry in entries}).id
        for _ in range(20):
            await hub.publish(names, Event("x" * 1000))
        await until(lambda: hub.statistics().entries == 21 * 64)
        turns, sink = 0, Taking()

        ticket = hub.admit(Admission(names, last_event_id=start))
        subscriber = hub._clients._admission.find(ticket.number)
        hub.attach(ticket, sink)
        while subscriber.cursor is None:
            turns += 1
            await asyncio.sleep(0)

        assert len(StreamParser().feed(sink.data)) == 20 * 64
        assert turns > len(sink.data) / 300_000


async def test_resume_from_another_process(sqlite):
    """The hub that a client comes back to need not be the one it left."""
    async with opened(sqlite) as one, opened(sqlite) as other:
        client = await connect(one, "a").placed()
        await one.publish(["a"], Event("1"))
        await client.wait(1)
        client.leave()
        await one.publish(["a"], Event("2"))

        back = await resume(other, client, "a")

        assert [e.data for e in await back.wait(1)] == ["2"]


async def test_a_hub_that_is_behind_sends_nothing_twice(sqlite):
    """A client that has seen more than this process waits for it to see that too."""
    async with opened(sqlite) as one, opened(sqlite) as late:
        warm = await connect(late, "a").placed()
        # The bell of the late process is out of reach for a while.
        bell = late._broker._bell
        asyncio.get_running_loop().remove_reader(bell.fileno())
        client = await connect(one, "a").placed()
        for n in range(3):
            await one.publish(["a"], Event(str(n)))
        await client.wait(3)

        back = await (await resume(late, client, "a")).placed()
        await one.publish(["a"], Event("3"))

        assert [e.data for e in await back.wait(1)] == ["3"]
        assert [e.data for e in await warm.wait(4)] == ["0", "1", "2", "3"]


async def test_resume_far_behind(sqlite):
    """What the log no longer holds comes from the broker, page by page."""
    async with opened(sqlite, log_events=10, events=10_000) as hub:
        client = await connect(hub, "a", "b").placed()
        client.leave()
        for first in range(0, 1000, 50):
            await asyncio.gather(
                *(
                    hub.publish(["ab"[n % 2]], Event(f"{n:04}" + "x" * 500))
                    for n in range(first, first + 50)
                )
            )

        back = await resume(hub, client, "a", "b")
        got = [e.data[:4] for e in await back.wait(1000)]

        for parity in (0, 1):
            assert [n for n in got if int(n) % 2 == parity] == [
                f"{n:04}" for n in range(parity, 1000, 2)
            ]
        # The opening is before the first page, and before no other.
        assert opening_of(back)["id"] == client.parser.last_event_id
        assert opening_of(back)["resumed"] is True


@pytest.mark.parametrize("junk", ["junk", "x" * 5000, "é", "a.b.c", "0", "\x01"])
async def test_junk_is_a_gap(url, junk):
    """An id that was never given is told apart, and the stream goes on live."""
    async with opened(url) as hub:
        await hub.publish(["a"], Event("before"))
        client = connect(hub, "a", last_event_id=junk)
        assert await gap_of(client) == {"a": "unknown"}

        await hub.publish(["a"], Event("after"))

        assert [e.data for e in await client.wait(2)][1:] == ["after"]


async def test_id_of_another_selection_is_a_gap(url):
    """It is not misread as a position in these channels."""
    async with opened(url) as hub:
        other = await connect(hub, "a", "c").placed()

        client = connect(hub, "a", "b", last_event_id=other.parser.last_event_id)

        assert await gap_of(client) == {"a": "unknown", "b": "unknown"}


async def test_trimmed_history_is_a_gap(url):
    """What is gone is announced, what is still there follows."""
    async with opened(url, events=3, log_events=3) as hub:
        client = await connect(hub, "a", "b").placed()
        client.leave()
        for n in range(10):
            await hub.publish(["a"], Event(str(n)))
        await hub.publish(["b"], Event("b"))
        await asyncio.sleep(0)  # else the client is given them as they arrive

        back = await resume(hub, client, "a", "b")

        assert await gap_of(back) == {"a": "trimmed"}
        assert [e.data for e in await back.wait(5)][1:] == ["7", "8", "9", "b"]
        # The gap is behind the client: it is not told again.
        again = await (await resume(hub, back, "a", "b")).placed()
        assert again.events == []


@pytest.mark.parametrize("damaged", [[2], [3, 4], [5], [2, 4], [2, 3, 4, 5]], ids=str)
async def test_damaged_entries_are_a_gap(tmp_path, sqlite, damaged):
    """A client that resumes across them gets a gap event for each run, and all the others."""
    async with opened(sqlite) as hub, opened(sqlite, log_events=1) as other:
        entries = [(await hub.publish(["a"], Event(str(n))))[0] for n in range(1, 6)]
        damage(tmp_path / "log", "a", *damaged)
        start = Positions({"a": entries[0].position}).id

        expected = [str(n) for n in range(2, 6) if n not in damaged]
        gaps = sum(n - 1 not in damaged for n in damaged)
        for each in (hub, other, hub, other):
            # At first the channel's log begins after them, and later it does not reach back.
            client = await connect(each, "a", last_event_id=start).placed()
            await hub.publish(["a"], Event("next"))
            expected.append("next")
            events = await client.wait(len(expected) + gaps)
            gap_events = [event for event in events if event.type == "heliograph.gap"]
            assert [e.data for e in events if e not in gap_events] == expected
            assert len(gap_events) == gaps
            assert each.statistics().broker_available
            client.leave()


async def test_gap_ids_go_on_from_the_gap(url):
    """Who is cut off right after the gap event misses nothing of the rest."""
    async with opened(url, events=3, log_events=3) as hub:
        client = await connect(hub, "a").placed()
        client.leave()
        for n in range(10):
            await hub.publish(["a"], Event(str(n)))
        await asyncio.sleep(0)  # else the client is given them as they arrive
        back = await resume(hub, client, "a")
        gap = (await back.wait(1))[0]

        again = connect(hub, "a", last_event_id=gap.id)

        assert [e.data for e in await again.wait(3)] == ["7", "8", "9"]


async def test_a_new_life_of_the_storage(tmp_path):
    """Lost storage is a gap for those who come back; all of the new is theirs."""
    async with opened(f"sqlite:///{tmp_path}/one") as hub:
        client = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("old"))
        await client.wait(1)
    async with opened(f"sqlite:///{tmp_path}/two") as hub:
        await hub.publish(["a"], Event("new"))
        back = await resume(hub, client, "a")

        assert await gap_of(back) == {"a": "epoch"}
        assert [e.data for e in await back.wait(2)][1:] == ["new"]


async def test_storage_lost_under_an_open_stream(tmp_path, sqlite):
    """An open stream is told once, and goes on."""
    async with opened(sqlite) as hub:
        client = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("old"))
        await client.wait(1)
        for found in tmp_path.glob("log*"):
            with contextlib.suppress(OSError):
                found.unlink()

        await hub.publish(["a"], Event("new"))
        await hub.publish(["a"], Event("newer"))

        first, gap, *rest = await client.wait(4)
        assert json.loads(gap.data) == {"channels": ["a"], "reasons": {"a": "epoch"}}
        assert [first.data, *(e.data for e in rest)] == ["old", "new", "newer"]
        assert hub.statistics().gaps == 1
        # A position in the new epoch is understood.
        back = await (await resume(hub, client, "a")).placed()
        assert back.events == []


@pytest.mark.parametrize("open_event", [True, False])
async def test_a_new_epoch_without_a_loss(url, open_event):
    """Open streams are told their position in it, by an event that a page can read."""
    async with opened(url, open_event=open_event) as hub:
        client = await connect(hub, "a", "b").placed()
        start = client.parser.last_event_id

        hub._table.on_restart("a", Position("new", 0), gap=False)
        await client.wait_for(lambda one: one.parser.last_event_id != start)

        position = client.parser.last_event_id
        assert Positions.parse(position, ("a", "b"))["a"] == Position("new", 0)
        assert client.events == []
        found = [(says["id"], says["resumed"]) for says in client.parser.openings]
        assert found == [(start, False), (position, True)][: 2 * open_event]


class Remembering(MemoryBroker):
    """A broker that knows former epochs of its channels, as Redis's does after a failover."""

    renamed = frozenset()

    async def read(self, channel, after, limit):
        if after is not None:
            after = Position(self._start.epoch, after.offset)
        history = await super().read(channel, after, limit)
        if channel not in self.renamed:
            return history
        start, head = (Position("new", p.offset) for p in (history.start, history.head))
        return dataclasses.replace(history, start=start, head=head)


async def test_a_client_of_a_former_epoch():
    """It is told its position in the new one, also if it has missed nothing after that."""
    broker = Remembering(Retention(events=9, seconds=1e6))
    hub = Hub(broker, HubConfig(log_events=1), timings=DEFAULT_TIMINGS)
    await hub.open()
    client = await connect(hub, "a", "b").placed()
    # They are a whole page, so the other channel is read after it was written.
    for _ in range(2):
        await hub.publish(["a"], Event("x" * 60_000))
    broker.renamed = {"b"}
    hub._table.on_restart("b", Position("new", 0), gap=False)

    back = await resume(hub, client, "a", "b")
    await back.wait_for(lambda one: len(one.parser.openings) == 2)

    first, second = back.parser.openings
    assert (first["id"], first["resumed"]) == (client.parser.last_event_id, True)
    assert (second["id"], second["resumed"]) == (back.parser.last_event_id, True)
    assert Positions.parse(second["id"], ("a", "b"))["b"] == Position("new", 0)
    assert len(back.events) == 2
    await hub.close()


async def test_a_client_from_a_later_life(tmp_path, sqlite):
    """A process that has not yet seen the new life learns of it from a client."""
    async with opened(sqlite) as hub:
        warm = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("old"))
        await warm.wait(1)
        for found in tmp_path.glob("log*"):
            with contextlib.suppress(OSError):
                found.unlink()
        async with opened(sqlite) as other:
            early = await connect(other, "a").placed()

            back = await (await resume(hub, early, "a")).placed()

            assert back.events == []
            await other.publish(["a"], Event("new"))
            assert (await back.wait(1))[0].data == "new"
            assert [e.type for e in await warm.wait(3)] == [
                "message",
                "heliograph.gap",
                "message",
            ]


async def test_resume_by_own_id(url):
    """An id that the publisher gave is found in the history."""
    async with opened(url, log_events=1) as hub:
        client = await connect(hub, "a").placed()
        await hub.publish(["a"], Event("1", id="order-1"))
        assert (await client.wait(1))[0].id == "order-1"
        client.leave()
        await hub.publish(["a"], Event("2"))
        await hub.publish(["a"], Event("3", id="order-3"))

        back = connect(hub, "a", last_event_id="order-1")

        assert [e.data for e in await back.wait(2)] == ["2", "3"]


async def test_own_ids_with_several_channels(url):
    """A stream of several channels shows positions, so resuming stays exact."""
    async with opened(url) as hub:
        client = await connect(hub, "a", "b").placed()
        await hub.publish(["a"], Event("1", id="order-1"))
        assert (await client.wait(1))[0].id != "order-1"
        await hub.publish(["b"], Event("2", id="order-1"))

        back = await resume(hub, client, "a", "b")

        assert [e.data for e in await back.wait(1)] == ["2"]


async def test_an_ambiguous_own_id_is_a_gap(url):
    """An id that two events have is no position."""
    async with opened(url) as hub:
        for _ in range(2):
            await hub.publish(["a"], Event("x", id="same"))

        assert await gap_of(connect(hub, "a", last_event_id="same")) == {"a": "unknown"}


async def test_a_client_that_catches_up_without_reading_costs_one_page():
    """Memory does not grow with what it has missed."""
    async with opened(log_bytes=1 << 24, send_buffer_bytes=4096) as hub:
        client = await connect(hub, "a").placed()
        client.leave()
        await until(lambda: hub.statistics().subscribers == 0)
        for n in range(500):
            await hub.publish(["a"], Event(f"{n:03}" + "x" * 10_000))

        back = connect(
            hub, "a", last_event_id=client.parser.last_event_id, read_buffer=4096
        )
        await back.read()
        await until(lambda: back.subscriber.sink.paused)
        assert back.subscriber.sink.unsent_bytes < 200_000

        assert [e.data[:3] for e in await back.wait(500)] == [f"{n:03}" for n in range(500)]


async def test_a_crowd_is_given_the_same_pages():
    """They are encoded once, and each client gets what it has missed, in order and once."""
    async with opened() as hub:
        client = await connect(hub, "a").placed()
        both = await connect(hub, "a", "b").placed()
        for each in (client, both):
            each.leave()
        await until(lambda: hub.statistics().subscribers == 0)
        for n in range(150):
            own = {"id": f"own-{n}"} if n % 7 == 0 else {}
            await hub.publish(["a"], Event(f"{n}", **own))
        position, positions = (each.parser.last_event_id for each in (client, both))

        crowd = [connect(hub, "a", last_event_id=position) for _ in range(5)]
        crowd += [connect(hub, "a", "b", last_event_id=positions) for _ in range(2)]
        for back in crowd:
            assert [e.data for e in await back.wait(150)] == [*map(str, range(150))]
        assert len({back.body[back.body.index(b"data: 0\n") :] for back in crowd[:5]}) == 1
        assert len(hub._clients._joining._pages) == 3

        await hub.publish(["a"], Event("later"))
        for back in crowd:
            assert (await back.wait(151))[-1].data == "later"
            assert back.parser.last_event_id.endswith("-151" if back in crowd[:5] else ".0")


class Slow(MemoryBroker):
    """A broker in which something happens while it is asked whether a channel has ended."""

    meanwhile = None

    async def read(self, channel, after, limit):
        found = await super().read(channel, after, limit)
        if limit == 0 and found.has_ended and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
            # The entries reach the logs.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            found = await super().read(channel, after, limit)
        return found

    async def publish(self, channel, count, **terms):
        for n in range(count):
            await self.append(channel, Event(str(n)), terms=Terms(**terms))


@contextlib.asynccontextmanager
async def slow_hub():
    broker = Slow(Retention(events=100, seconds=1e6))
    hub = Hub(broker, HubConfig(log_events=2, retry_ms=0), timings=DEFAULT_TIMINGS)
    await hub.open()
    warm = await connect(hub, "a", "b").placed()
    await broker.publish("a", 1, is_end=True)
    await warm.wait(2)
    try:
        yield hub, broker
    finally:
        await hub.close()


async def test_much_comes_while_an_end_is_confirmed(caplog):
    """More than the log of the other channel holds."""
    async with slow_hub() as (hub, broker):
        broker.meanwhile = lambda: broker.publish("b", 9)

        client = connect(hub, "a", "b")

        await client.wait_for(lambda it: len(it.events) == 10)
        data = [event.data for event in client.events if event.type == "message"]
        assert data == [str(n) for n in range(9)]
        assert caplog.messages == []


async def test_another_end_comes_while_one_is_confirmed():
    """The client is given that life, too, and its end."""
    async with slow_hub() as (hub, broker):
        id_ = await hub.ask(lambda state: state.position(("a",)))

        async def live_again():
            await broker.begin("a")
            await broker.publish("a", 1)
            await broker.publish("a", 1, is_end=True)

        broker.meanwhile = live_again

        client = await connect(hub, "a", last_event_id=id_).ended()

        assert [event.type for event in client.events] == ["message"] * 2 + [
            "heliograph.end"
        ]
        assert hub._table["a"].has_ended
