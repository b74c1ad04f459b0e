"""From admission to the feed: first bytes, positions, resuming."""

import asyncio
import logging

import pytest

from heliograph import (
    BrokerUnavailableError,
    Event,
)
from heliograph.channels.position import Positions
from hubs import opened, resume
from streams import HEAD, connect, until


async def test_first_bytes_come_at_once(url):
    """Head, comment, reconnection time and place come before any event."""
    async with opened(url, retry_ms=1000) as hub:
        client = await connect(hub, "a").placed()

    assert client.raw.startswith(HEAD + b":\nretry: ")
    assert 500 <= client.parser.reconnection_time_ms <= 1500
    assert Positions.parse(client.parser.last_event_id, ("a",))["a"].offset == 0


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
    """Whoever was cut off before the first event comes back to the very place."""
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
        await hub.publish(["a"], Event("y"))
        assert [e.data for e in await client.wait(1)] == ["y"]
        assert hub.statistics().broker_available is True
        assert caplog.text.count("available again") == 1


async def test_closing_while_the_broker_is_away(tmp_path):
    """A client that has yet to be given its place is given its head, so that it comes back."""
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
