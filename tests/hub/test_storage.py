"""Calls to a broker that wait until it is available."""

import asyncio
import logging

import pytest

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers import PLAIN, Retention, open_broker
from heliograph.brokers.memory import MemoryBroker
from heliograph.channels.position import Position
from heliograph.hub.storage import Storage
from heliograph.retry import Availability, Backoff

LOG = logging.getLogger("heliograph.tests.storage")
RETENTION = Retention(events=9, seconds=9e9)


class Nobody:
    """A listener that expects nothing but changes of the connection."""

    def on_connection(self, *, up, reason):
        pass


@pytest.fixture
async def later(tmp_path):
    """A broker whose file cannot be there before its folder is, and that folder."""
    folder = tmp_path / "later"
    broker = open_broker(f"sqlite:///{folder}/log", RETENTION)
    await broker.open(Nobody())
    yield broker, folder
    await broker.close()


def storage_of(broker):
    backoff = lambda: Backoff(first_seconds=1e-3, longest_seconds=1e-3)  # noqa: E731 - a test's
    availability = Availability(LOG, new_backoff=backoff)
    return Storage(broker, availability), availability


# What is called before the storage is there. Add a row, not a test.
WAITING = {
    "append": lambda storage: storage.append("a", Event("x")),
    "read": lambda storage: storage.read("a", Position("e", 0), 9),
    "find": lambda storage: storage.find("a", "mine"),
}


@pytest.mark.parametrize("call", WAITING)
async def test_calls_that_wait(later, call):
    """They are repeated until the broker is available, and record both."""
    broker, folder = later
    storage, availability = storage_of(broker)
    waiting = asyncio.create_task(WAITING[call](storage))
    while availability.available:
        await asyncio.sleep(0.001)

    folder.mkdir()
    await waiting

    assert availability.available


async def test_a_call_that_does_not_wait(later):
    """It fails by name, and records it."""
    broker, folder = later
    storage, availability = storage_of(broker)

    with pytest.raises(BrokerUnavailableError, match="later/log"):
        await storage.append_now("a", Event("x"))

    assert not availability.available
    assert storage.resource == broker.resource
    folder.mkdir()
    assert (await storage.append_now("a", Event("x"))).position.offset == 1
    assert availability.available


class Losing(MemoryBroker):
    """A broker whose first two answers are lost."""

    def __init__(self):
        super().__init__(RETENTION)
        self.attempts = []

    async def append(self, channel, event, *, terms=PLAIN, repeats=None):
        self.attempts.append(repeats)
        if len(self.attempts) < 3:
            raise BrokerUnavailableError(self.resource, "the answer is lost")
        return await super().append(channel, event, terms=terms, repeats=repeats)


async def test_an_append_that_is_repeated():
    """The broker is told that it is the same one, so that it can store the event once."""
    broker = Losing()
    await broker.open(Nobody())
    storage, _ = storage_of(broker)

    await storage.append("a", Event("x"))
    await storage.append("a", Event("y"))

    first, *others, last = broker.attempts
    assert first is not None
    assert others == [first, first]
    assert last not in {first, None}
    await broker.close()


async def test_what_is_read():
    """What the broker holds, as it says it."""
    broker = open_broker("memory:", RETENTION)
    await broker.open(Nobody())
    storage, _ = storage_of(broker)
    first = await storage.append("a", Event("1"))
    second = await storage.append("a", Event("2", id="mine"))

    history = await storage.read("a", first.position, 9)

    assert list(history.entries) == [second]
    assert history.head == await storage.find("a", "mine") == second.position
    assert await storage.find("a", "yours") is None
    await broker.close()


class Counting(MemoryBroker):
    """A broker that counts the pages that are read at once."""

    reading = most = 0

    async def read(self, channel, after, limit):
        self.reading += 1
        self.most = max(self.most, self.reading)
        await asyncio.sleep(0.001)
        self.reading -= 1
        return await super().read(channel, after, limit)


async def test_a_crowd_that_resumes():
    """Few pages are read at a time, however many clients ask."""
    broker = Counting(RETENTION)
    await broker.append("a", Event("x"))
    storage, _ = storage_of(broker)

    pages = await asyncio.gather(*(storage.read("a", None, 9) for _ in range(500)))

    assert all(len(page.entries) == 1 for page in pages)
    assert broker.most == 32
