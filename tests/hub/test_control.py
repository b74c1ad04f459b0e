"""Commands between processes, and what they revoke."""

import asyncio
import time

import pytest

from heliograph import (
    Event,
    HubConfig,
)
from heliograph.brokers import Retention
from heliograph.brokers.memory import MemoryBroker
from heliograph.brokers.sqlite import SqliteBroker
from heliograph.hub import Hub, open_hub
from hubs import damage, opened
from streams import HEAD, connect, until


async def test_disconnect_in_all_processes(sqlite):
    """Streams of a channel are ended wherever they are; others are not."""
    async with opened(sqlite) as one, opened(sqlite) as other:
        clients = [await connect(hub, "a", "b").placed() for hub in (one, other)]
        spared = await connect(other, "b").placed()

        await one.disconnect("a")

        for client in clients:
            await client.ended()
        await one.publish(["b"], Event("still here"))
        await spared.wait(1)
        assert other.statistics().subscribers == 1


async def test_disconnect_before_a_stream_begins(sqlite):
    """Who was authorised before, in whichever process, has to come again."""
    async with opened(sqlite) as one, opened(sqlite) as other:
        before = time.monotonic_ns()
        await one.disconnect("a")
        await until(lambda: other._control._disconnects.latest > before)

        late = await connect(other, "a", "b", arrived_at=before).ended()
        spared = connect(other, "b", arrived_at=before)
        again = connect(other, "a", arrived_at=other._control._disconnects.latest)

        assert late.raw == HEAD
        for client in (spared, again):
            await client.placed()
        assert other.statistics().subscribers == 2


async def test_more_disconnects_than_are_kept(sqlite):
    """A process that has missed some ends all streams: they are authorised again."""
    async with opened(sqlite, events=5) as one, opened(sqlite, events=5) as other:
        clients = [await connect(other, f"c{n}").placed() for n in range(30)]
        before = time.monotonic_ns()

        await asyncio.gather(*(one.disconnect(f"c{n}") for n in range(30)))

        for client in clients:
            await client.ended()
        assert other._control._disconnects.since(before, ["c0"])


async def test_commands_from_before_a_hub_was_opened(sqlite):
    """A request that was under way then, in hooks, has to come again."""
    before = time.monotonic_ns()
    async with opened(sqlite) as one:
        await one.disconnect("a")
        async with opened(sqlite) as other:
            late = await connect(other, "a", arrived_at=before).ended()
            spared = await connect(other, "b", arrived_at=before).placed()

            assert late.raw == HEAD
            assert spared.body


async def test_commands_are_kept_whatever_patterns_say():
    """A pattern of all names does not match the channel of commands."""
    hub = await open_hub("memory:", HubConfig(channels={"*": {"history_events": 1}}))
    for text in "abc":
        await hub.disconnect(text)
        await hub.publish(["news"], Event(text))

    for channel, kept in [("\x01heliograph.control", "abc"), ("news", "c")]:
        history = await hub._broker.read(channel, None, 9)
        assert [entry.event.data for entry in history.entries] == [*kept]
    await hub.close()


async def test_commands_that_have_aged_out(tmp_path, caplog):
    """They are no reason to begin all streams anew."""
    retention = Retention(events=1000, seconds=1000)
    old = SqliteBroker(tmp_path / "log", retention, clock=lambda: time.time() - 2000)
    hub = Hub(old, HubConfig())
    await hub.open()
    await hub.disconnect("a")
    await hub.close()
    before = time.monotonic_ns()
    later = Hub(SqliteBroker(tmp_path / "log", retention), HubConfig())
    await later.open()
    await later.publish(["a"], Event("removes what is too old"))
    await later.close()
    hub = Hub(SqliteBroker(tmp_path / "log", retention), HubConfig())
    await hub.open()
    history = await hub._broker.read("\x01heliograph.control", None, 9)
    assert (history.entries, history.head.offset) == ((), 1)

    await connect(hub, "a", arrived_at=before).placed()

    await hub.close()
    assert "anew" not in caplog.text


async def test_more_commands_than_are_read(tmp_path):
    """What came before them is not known, so who arrived before the hub has to come again."""
    retention = Retention(events=3, seconds=1e6)
    before = time.monotonic_ns()
    hub = Hub(SqliteBroker(tmp_path / "log", retention), HubConfig())
    await hub.open()
    for n in range(5):
        await hub.disconnect(f"c{n}")
    async with opened(f"sqlite:///{tmp_path}/log", events=3, history_events=3) as other:
        await connect(other, "x", arrived_at=before).ended()
        await connect(other, "x", arrived_at=time.monotonic_ns()).placed()
    await hub.close()


@pytest.mark.parametrize("damaged", [[1], [2], [3], [1, 2, 3]], ids=str)
async def test_damaged_commands_count_as_missed(tmp_path, sqlite, damaged):
    """Who arrived before the hub is authorised again: the command may have been for them."""
    before = time.monotonic_ns()
    async with opened(sqlite) as one:
        for name in ("a", "b", "c"):
            await one.disconnect(name)
        damage(tmp_path / "log", "\x01heliograph.control", *damaged)
        async with opened(sqlite) as other:
            await connect(other, "x", arrived_at=before).ended()
            await connect(other, "x", arrived_at=time.monotonic_ns()).placed()
            assert other.statistics().broker_available


async def test_disconnect_while_storage_is_away(tmp_path):
    """Who was let in then is let go when it is back; others stay."""
    folder, elsewhere = tmp_path / "later", tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with opened(f"sqlite:///{folder}/log") as hub:
        clients = [connect(hub, *names) for names in ("a", "ab", "b", "c")]
        async with opened(f"sqlite:///{elsewhere}/log") as other:
            for _ in range(300):
                await other.disconnect("x")
            await other.disconnect("a")
        elsewhere.rename(folder)

        for client in clients[:2]:
            await client.ended()
        for client in clients[2:]:
            await client.placed()
        assert hub.statistics().subscribers == 2


async def test_old_commands_when_storage_comes_back(tmp_path):
    """They were obeyed when they came."""
    folder, elsewhere = tmp_path / "later", tmp_path / "elsewhere"
    elsewhere.mkdir()
    retention = Retention(events=10, seconds=1e6)
    old = SqliteBroker(elsewhere / "log", retention, clock=lambda: time.time() - 100)
    hub = Hub(old, HubConfig())
    await hub.open()
    await hub.disconnect("a")
    await hub.close()
    async with opened(f"sqlite:///{elsewhere}/log") as hub:
        await hub.disconnect("last")
    async with opened(f"sqlite:///{folder}/log") as hub:
        client = connect(hub, "a")
        before = time.monotonic_ns()
        elsewhere.rename(folder)
        await until(lambda: hub._control._disconnects.latest > before)
        await client.placed()


async def test_unknown_commands_are_logged(caplog):
    """A later version's command does no harm."""
    async with opened() as hub:
        client = await connect(hub, "a").placed()
        await hub._broker.append("\x01heliograph.control", Event("a", type="dance"))
        await hub.publish(["a"], Event("x"))
        await client.wait(1)

    assert "dance" in caplog.text


class Unreadable(MemoryBroker):
    """A broker with a bug: it cannot read what has been commanded."""

    async def read(self, channel, after, limit):
        if channel == "\x01heliograph.control":
            raise ZeroDivisionError("a bug of a broker")
        return await super().read(channel, after, limit)


async def test_commands_that_cannot_be_read(caplog):
    """Whoever was let in before has to come again; later commands are obeyed."""
    before = time.monotonic_ns()
    hub = Hub(Unreadable(Retention(events=9, seconds=9e9)), HubConfig())
    await hub.open()
    late = connect(hub, "a", arrived_at=before)
    spared = await connect(hub, "a", arrived_at=time.monotonic_ns()).placed()
    assert (await late.ended()).raw == HEAD

    await hub.disconnect("a")

    await spared.ended()
    await hub.close()
    assert "a bug of a broker" in caplog.text
