"""Channels that the broker cannot listen to are asked for again, later each time."""

import asyncio
import logging

from heliograph.brokers import open_broker
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
