"""Channels that the broker cannot listen to are asked for again, later each time."""

import asyncio
import logging

import pytest

from heliograph import BrokerUnavailableError
from heliograph.brokers import Retention, open_broker
from heliograph.brokers.memory import MemoryBroker
from heliograph.hub.listen_queue import ListenQueue
from heliograph.retry import Availability, Backoff

LOG = logging.getLogger("heliograph.tests.listen_queue")


class CountedBackoff(Backoff):
    """Short delays, and an event once some have been asked for."""

    __slots__ = ("asked", "third")

    def __init__(self):
        super().__init__(first_seconds=1e-6, longest_seconds=1e-3)
        self.asked = 0
        self.third = asyncio.Event()

    def next_seconds(self):
        self.asked += 1
        if self.asked == 3:
            self.third.set()
        return super().next_seconds()


class Nobody:
    """A listener that expects nothing but changes of the connection."""

    def on_connection(self, *, up, reason):
        pass


async def test_failures_are_retried(tmp_path):
    """With the delays that were handed in, a row of them for each channel."""
    made, listening = [], asyncio.Queue()
    new_backoff = lambda: made.append(CountedBackoff()) or made[-1]  # noqa: E731 - a test's
    availability = Availability(LOG, new_backoff=new_backoff)
    folder = tmp_path / "later"
    broker = open_broker(f"sqlite:///{folder}/log")
    await broker.open(Nobody())
    queue = ListenQueue(
        broker, availability, lambda name, start: listening.put_nowait((name, start.offset))
    )
    queue.add("a")
    queue.add("b")
    while len(made) < 2:
        await asyncio.sleep(0)
    for backoff in made:
        await backoff.third.wait()
    assert not availability.available

    folder.mkdir()

    assert {await listening.get(), await listening.get()} == {("a", 0), ("b", 0)}
    assert availability.available
    assert len(made) == 2
    queue.close()
    await broker.close()


async def test_a_channel_that_is_dropped_no_longer_counts_as_failing(tmp_path):
    """Nobody waits for it, so nothing would record its success."""
    made = []
    new_backoff = lambda: made.append(CountedBackoff()) or made[-1]  # noqa: E731 - a test's
    availability = Availability(LOG, new_backoff=new_backoff)
    broker = open_broker(f"sqlite:///{tmp_path}/never/log")
    await broker.open(Nobody())
    queue = ListenQueue(broker, availability, lambda name, start: None)
    queue.add("a")
    while not made:
        await asyncio.sleep(0)
    await made[0].third.wait()

    assert queue.drop("a")

    assert availability.available
    await broker.close()


class Refusing(MemoryBroker):
    """
    A broker of somebody else's, whose ``listen`` fails.

    ``how`` is when: before there is anything to await, in a coroutine, in a future; or it
    returns nothing that can be awaited.
    """

    def __init__(self, error, *, times, how="at-once"):
        super().__init__(Retention(events=9, seconds=9.0))
        self.error, self.times, self.how = error, times, how

    def listen(self, channel):
        if channel != "a" or not self.times:
            return super().listen(channel)
        self.times -= 1
        if self.how == "at-once":
            raise self.error
        if self.how == "coroutine":
            return self.fail()
        if self.how == "future":
            failed = asyncio.get_running_loop().create_future()
            failed.set_exception(self.error)
            return failed
        return None

    async def fail(self):
        raise self.error


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("at-once", BrokerUnavailableError("somewhere", "no")),
        ("at-once", ZeroDivisionError("a bug")),
        ("coroutine", ZeroDivisionError("a bug")),
        ("future", ZeroDivisionError("a bug")),
        ("nothing", TypeError("a coroutine was expected")),
    ],
)
async def test_a_broker_that_raises(caplog, how, error):
    """Its call is repeated, and other channels are not held up."""
    listening = asyncio.Queue()
    availability = Availability(LOG, new_backoff=CountedBackoff)
    broker = Refusing(error, times=3, how=how)
    await broker.open(Nobody())
    queue = ListenQueue(
        broker, availability, lambda name, start: listening.put_nowait(name)
    )

    queue.add("a")
    queue.add("b")

    assert [await listening.get(), await listening.get()] == ["b", "a"]
    assert availability.available
    is_logged = "cannot listen to 'a', trying again" in caplog.text
    assert is_logged is not isinstance(error, BrokerUnavailableError)
    assert not is_logged or str(error) in caplog.text
    queue.close()
    await broker.close()


async def test_a_channel_is_dropped_while_its_call_raises():
    """Nothing is tried again for it."""
    availability = Availability(LOG, new_backoff=CountedBackoff)
    broker = Refusing(ZeroDivisionError("a bug"), times=1)
    await broker.open(Nobody())
    queue = ListenQueue(broker, availability, lambda name, start: None)
    queue.add("a")

    queue.drop("a")
    await asyncio.sleep(0)

    assert queue._under_way == queue._retries == queue._backoffs == {}
    await broker.close()


async def test_a_fault_of_who_is_told(faults):
    """Channels that wait for their turn are asked for all the same."""
    listening = []

    def on_listening(name, start):
        listening.append(name)
        raise ZeroDivisionError("a bug")

    broker = MemoryBroker(Retention(events=9, seconds=9.0))
    await broker.open(Nobody())
    queue = ListenQueue(broker, Availability(LOG), on_listening)

    for n in range(1000):
        queue.add(f"c{n}")
    while len(listening) < 1000:
        await asyncio.sleep(0)

    assert len(faults) == 1000
    await broker.close()
