"""Which channels are listened to, and for how long."""

import asyncio

import pytest

from heliograph import (
    Event,
    HubConfig,
)
from heliograph.brokers import Retention, Terms
from heliograph.brokers.memory import MemoryBroker
from heliograph.channels.entry import Entry
from heliograph.channels.position import Position
from heliograph.hub import Admission, Hub
from hubs import gap_of, opened, resume
from streams import connect, until


async def test_a_channel_lingers(url):
    """A page that reloads finds its channel warm."""
    async with opened(url, linger_seconds=60) as hub:
        await hub.publish(["a"], Event("0"))
        client = await connect(hub, "a").placed()
        log = hub._table["a"].log
        client.leave()
        await until(lambda: hub.statistics().subscribers == 0)

        await hub.publish(["a"], Event("1"))
        back = await resume(hub, client, "a")

        assert [e.data for e in await back.wait(1)] == ["1"]
        assert hub._table["a"].log is log


async def test_a_channel_without_events_does_not_linger(url):
    """Unless a stream of it has lasted as long."""
    async with opened(url, linger_seconds=0.5) as hub:
        short, long = await connect(hub, "a").placed(), await connect(hub, "b").placed()
        short.leave()
        await until(lambda: hub.statistics().channels == 1)
        admitted_at = long.subscriber.admitted_at
        await until(lambda: asyncio.get_running_loop().time() > admitted_at + 0.5)

        long.leave()
        await until(lambda: hub.statistics().subscribers == 0)

        assert hub.statistics().channels == 1
        await until(lambda: hub.statistics().channels == 0)


async def test_the_age_of_a_log():
    """It is that of the channel's history, which a pattern may set."""
    config = {"history_seconds": 600, "channels": {"job:*": {"history_seconds": 60}}}
    async with opened(**config) as hub:
        await connect(hub, "job:1", "news").placed()
        entries = await hub.publish(["job:1", "news"], Event("x"))
        logs = [hub._table[entry.channel].log for entry in entries]
        await until(lambda: [len(log) for log in logs] == [1, 1])

        for seconds, held in [(59, [1, 1]), (61, [0, 1]), (601, [0, 0])]:
            for log, entry in zip(logs, entries, strict=True):
                log.trim(entry.published_at + seconds)
            assert [len(log) for log in logs] == held


async def test_channels_that_are_asked_for_and_left_at_once(url):
    """Are never asked of storage if it has not begun; all others get their events."""
    async with opened(url) as hub:
        kept = connect(hub, "k0", "k1")
        for n in range(200):
            names = tuple(sorted(f"{n % 7}-{m}" for m in range(64)))
            hub.release(hub.admit(Admission(names)))
            if n % 50 == 0:
                await asyncio.sleep(0)
        again = await connect(hub, "3-1", "3-2").placed()
        await kept.placed()

        assert hub.statistics().channels == 4
        await hub.publish(["k1", "3-2"], Event("x"))
        await kept.wait(1)
        await again.wait(1)


class Stubborn(MemoryBroker):
    """A broker of somebody else's that cannot stop listening."""

    def unlisten(self, channel):
        raise ZeroDivisionError("a bug of a broker")


async def test_a_broker_that_cannot_stop_listening(caplog):
    """All channels of a stream are dropped all the same, and its slot is given back."""
    hub = Hub(Stubborn(Retention(events=9, seconds=9e9)), HubConfig(linger_seconds=0.01))
    await hub.open()
    names = tuple(f"c{n}" for n in range(5))
    await hub.publish(names[:2], Event("x"))
    client = await connect(hub, *names).placed()

    client.leave()

    await until(lambda: hub.statistics().channels == 0)
    assert hub.statistics().subscribers == 0
    assert caplog.text.count("cannot stop listening") == 5
    await hub.close()


async def test_an_entry_that_cannot_be_taken(caplog):
    """Those of other channels in the same call arrive, and in its own there is a gap."""
    async with opened() as hub:
        clients = [await connect(hub, name).placed() for name in ("a", "b")]
        damaged, *others = [
            Entry(name, Position(hub._table.heads([name])[name].epoch, n), Event("x"), 0.0)
            for name, n in (("a", 1), ("b", 1), ("a", 2))
        ]
        object.__setattr__(damaged.event, "data", "\ud800")

        hub._table.on_entries([damaged, *others])

        assert await gap_of(clients[0]) == {"a": "trimmed"}
        assert (await clients[1].wait(1))[0].data == "x"
        assert caplog.text.count("cannot take an entry of 'a'") == 1


# Where a channel continues in another epoch, and whether entries are missing -> whether it
# may have an end, and retained entries.
RESTARTS = [
    pytest.param(2, False, True, id="the-same-under-another-name"),
    pytest.param(0, False, False, id="forgotten"),
    pytest.param(1, True, True, id="with-losses-that-storage-knows"),
]


@pytest.mark.parametrize(("offset", "gap", "has_state"), RESTARTS)
async def test_the_state_in_another_epoch(offset, gap, has_state):
    """It stays, unless the channel is another one."""
    async with opened() as hub:
        await hub.publish(["a"], Event("0"), Terms(retain_as=""))
        await hub.ask(lambda state: state.end("a", None))
        await connect(hub, "a", "b").placed()
        assert hub._table["a"].log.head.offset == 2

        hub._table.on_restart("a", Position("new", offset), gap=gap)

        channel = hub._table["a"]
        assert (channel.has_ended, channel.has_retained) == (has_state, has_state)
