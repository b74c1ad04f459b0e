"""The memory broker keeps the contract."""

from collections import deque

import pytest

from heliograph import ConfigError, Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import (
    BrokerContract,
    ManualClock,
    RecordingListener,
    offsets,
)
from heliograph.brokers.memory import MemoryBroker, from_url
from streams import until

HOUR = Retention(events=9, seconds=60, forget_seconds=3600)


class TestMemory(BrokerContract):
    """In one process."""

    @pytest.fixture
    def new_broker(self):
        return lambda retention, clock: MemoryBroker(
            retention, clock=clock, sweep_seconds=0.05
        )

    @pytest.fixture
    def beside(self):
        async def itself(broker, /, *, events=100):
            return broker

        return itself

    @pytest.fixture
    def cost_of(self):
        return entries_looked_at


class CountingDeque(deque):
    """Counts the entries that are looked at."""

    looked_at = 0

    def __iter__(self):
        for entry in super().__iter__():
            self.looked_at += 1
            yield entry

    def __getitem__(self, index):
        self.looked_at += 1
        return super().__getitem__(index)


async def entries_looked_at(broker, call):
    """Count them while a call is done."""
    channel = broker._channels["a"]
    channel.entries = entries = CountingDeque(channel.entries)
    entries.looked_at = 0
    await call()
    return entries.looked_at


def test_nothing_follows_the_colon():
    """A path or an option would have no effect, so it is refused."""
    with pytest.raises(ConfigError, match='nothing may follow the colon; write "memory:"'):
        from_url("memory:x", Retention(events=1, seconds=1))


async def test_asking_costs_no_memory():
    """Channels that nobody publishes to are not kept."""
    broker = MemoryBroker(Retention(events=1, seconds=1))
    await broker.open(RecordingListener())

    for n in range(100):
        await broker.read(f"c{n}", None, 1)
        await broker.listen(f"c{n}")
        broker.unlisten(f"c{n}")

    assert broker._channels == {}
    assert broker._listened == {}
    await broker.close()


async def test_history_of_a_silent_channel():
    """It is removed when it is too old, though nobody asks for the channel."""
    broker = MemoryBroker(Retention(events=9, seconds=0.2), sweep_seconds=0.05)
    await broker.open(RecordingListener())
    last = await broker.append("a", Event("x", id="1"))
    channel = broker._channels["a"]

    await until(lambda: not channel.entries)

    assert channel.ids == {}
    assert (await broker.read("a", None, 9)).head == last.position
    await broker.close()


async def test_a_channel_is_forgotten():
    """After an hour, unless it is listened to; who resumes there is told so."""
    clock = ManualClock()
    broker = MemoryBroker(HOUR, clock=clock)
    early = (await broker.read("a", None, 0)).head
    last = {name: (await broker.append(name, Event("x"))).position for name in "ab"}
    await broker.listen("b")
    clock.now += 3599
    await broker._sweep()
    at_head = await broker.read("a", last["a"], 9)
    assert (at_head.gap, at_head.head) == (None, last["a"])

    clock.now += 1
    await broker._sweep()

    assert list(broker._channels) == ["b"]
    for position in (early, last["a"]):
        forgotten = await broker.read("a", position, 9)
        assert (forgotten.gap, forgotten.head.offset) == ("epoch", 0)
    again = await broker.append("a", Event("new"))
    assert again.position.offset == 1
    resumed = await broker.read("a", last["a"], 9)
    assert (resumed.gap, offsets(resumed)) == ("epoch", [1])
    assert (await broker.read("b", last["b"], 9)).gap is None


async def test_what_is_listened_to_begins_where_the_listener_was_told():
    """However long nothing was published, the first event follows without a gap."""
    clock = ManualClock()
    ear = RecordingListener()
    broker = MemoryBroker(HOUR, clock=clock)
    await broker.open(ear)
    start = await broker.listen("a")
    for _ in range(10):
        clock.now += 3600
        await broker._sweep()
    assert (await broker.read("a", start, 9)).gap is None

    entry = await broker.append("a", Event("x"))

    assert entry.position.epoch == start.epoch
    assert await ear.wait_for_entries(1) == [entry]
    await broker.close()


@pytest.mark.parametrize("turn", range(3))
async def test_nothing_is_lost_in_silence(turn, chance):
    """Whatever clocks do and whenever channels are forgotten: no gap means no event is missing."""
    clock = ManualClock()
    retention = Retention(events=50, seconds=600, forget_seconds=3600)
    broker = MemoryBroker(retention, clock=clock)
    published = {name: [] for name in "abc"}
    clients = []
    resumed = {None: 0, "epoch": 0}

    for step in range(4000):
        name = chance.choice("abc")
        what = chance.choice(
            ("publish", "join", "join", "resume", "sweep", "time", "listen")
        )
        if what == "publish" and chance.random() < 0.3:
            await broker.append(name, Event(str(step)))
            published[name].append(str(step))
        elif what == "join":
            head = (await broker.read(name, None, 0)).head
            clients.append((name, head, len(published[name])))
        elif what == "resume" and clients:
            name, position, seen = chance.choice(clients[-30:])
            history = await broker.read(name, position, 99)
            if history.gap is None:
                missed = [entry.event.data for entry in history.entries]
                assert missed == published[name][seen:]
            resumed[history.gap] = resumed.get(history.gap, 0) + 1
        elif what == "sweep":
            await broker._sweep()
        elif what == "time":
            clock.now += chance.choice((1, 100, 900, 1800, 3600, -50, -3600, -9000, 12_000))
        elif chance.random() < 0.5:
            await broker.listen(name)
        else:
            broker.unlisten(name)

    # It has been tried.
    assert resumed[None] > 20
    assert resumed["epoch"] > 20
