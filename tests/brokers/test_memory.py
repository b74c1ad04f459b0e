"""The memory broker keeps the contract."""

import pytest
from contract import BrokerContract

from heliograph.brokers.memory import MemoryBroker


class TestMemory(BrokerContract):
    """In one process."""

    @pytest.fixture
    def new_broker(self):
        return lambda retention, clock: MemoryBroker(retention, clock=clock)


async def test_asking_costs_no_memory():
    """Channels that nobody publishes to are not kept."""
    from heliograph.brokers import Retention

    broker = MemoryBroker(Retention(events=1, seconds=1))
    await broker.open(lambda entries: None)

    for n in range(100):
        await broker.read(f"c{n}", None, 1)
        await broker.listen(f"c{n}")
        broker.unlisten(f"c{n}")

    assert broker._channels == {}
    assert broker._listened == set()
