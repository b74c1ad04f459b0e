"""The memory broker keeps the contract."""

from collections import deque

import pytest

from heliograph import ConfigError
from heliograph.brokers import Retention
from heliograph.brokers.contract import BrokerContract
from heliograph.brokers.memory import MemoryBroker, from_url


class TestMemory(BrokerContract):
    """In one process."""

    @pytest.fixture
    def new_broker(self):
        return lambda retention, clock: MemoryBroker(retention, clock=clock)

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
    await broker.open(lambda entries: None)

    for n in range(100):
        await broker.read(f"c{n}", None, 1)
        await broker.listen(f"c{n}")
        broker.unlisten(f"c{n}")

    assert broker._channels == {}
    assert broker._listened == set()
