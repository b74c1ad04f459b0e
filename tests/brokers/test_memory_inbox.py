"""
Events that threads publish to channels in memory: numbered as they are stored, and once.

The one thread of most tests interrupts itself: between any two steps of the interpreter
comes what the loop, another thread or a signal handler may do there.
"""

import asyncio
import contextlib
import functools
import itertools
import random
import sys
import threading
import time

import pytest

from heliograph import ChannelEndedError, Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.memory import MemoryBroker
from heliograph.brokers.values import Terms

RETENTION = Retention(events=1_000_000, seconds=3_600, forget_seconds=3_600)


class NotedCalls:
    """The loop of the broker, and how many calls of other threads it has not come to."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.left = 0

    def call_soon_threadsafe(self, function, context):
        self.loop.call_soon_threadsafe(self.call, function, context=context)
        self.left += 1

    def call(self, function):
        self.left -= 1
        function()

    def is_closed(self):
        return self.loop.is_closed()


class Publisher:
    """A broker, and what callers were told of their events."""

    def __init__(self):
        self.broker = MemoryBroker(RETENTION)
        self.ear = RecordingListener()
        self.numbers = itertools.count()
        self.told = {}
        self.stored = []

    async def open(self):
        await self.broker.open(self.ear)
        self.broker._loop = NotedCalls()
        for channel in "ab":
            await self.broker.append(channel, Event("first"))
            await self.broker.listen(channel)

    def publish(self, channel="a"):
        event = Event(str(next(self.numbers)))
        on_stored = functools.partial(self.stored.append, event.data)
        entry = self.broker.append_from_thread(channel, event, on_stored)
        if entry is not None:
            assert entry.event is event
            self.told[channel, event.data] = entry.position
            if threading.current_thread() is threading.main_thread():
                # Whoever was told of it asks the loop for it after this.
                assert event.data in self.stored or self.broker._loop.left
        return entry

    def publish_other(self):
        self.publish("b")

    # On the loop.

    def look(self):
        self.broker._empty_inbox()

    def append(self):
        with contextlib.suppress(ChannelEndedError):
            self.broker.append_at_once("a", Event("loop"))

    def end(self):
        with contextlib.suppress(ChannelEndedError):
            self.broker.append_at_once("a", Event("end"), terms=Terms(is_end=True))

    def begin(self):
        with pytest.raises(StopIteration):
            self.broker.begin("a").send(None)

    def forget(self):
        with self.broker._inbox:
            self.broker._forget_channel("a", self.broker._channels["a"])
        self.append()

    def close(self):
        self.broker._inbox.close()

    async def check(self, ignored=()):
        """What callers were told is what listeners got, and nothing else."""
        await asyncio.sleep(0)
        got = {
            (entry.channel, entry.event.data): entry.position
            for entry in self.ear.entries
            if entry.event.data.isdigit() and entry.event.data not in ignored
        }
        assert got == self.told
        assert {*self.stored} - {*ignored} == {data for _, data in got}
        assert len(self.stored) == len({*self.stored})
        for channel in "ab":
            positions = [e.position for e in self.ear.entries if e.channel == channel]
            for one, following in itertools.pairwise(positions):
                assert one.epoch != following.epoch or one.offset + 1 == following.offset


def interrupted(function, actions):
    """Call a function; return how many steps it had. Actions are done before some of them."""
    left = dict(actions)
    steps = itertools.count()

    def on_step(frame, what, argument):
        frame.f_trace_opcodes = True
        if what == "opcode" and (action := left.pop(next(steps), None)):
            sys.settrace(None)
            action()
            sys.settrace(on_call)
        return on_step

    def on_call(frame, what, argument):
        is_ours = frame.f_globals["__name__"].startswith("heliograph.brokers.memory")
        frame.f_trace_opcodes = is_ours
        return on_step if is_ours else None

    before = sys.gettrace()
    # From Python 3.12 on steps are traced only if some frame has wanted it before.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(on_call)
    try:
        function()
    finally:
        sys.settrace(before)
    return next(steps)


ACTIONS = ("publish", "publish_other", "look", "append", "end", "begin", "forget", "close")


@pytest.mark.parametrize("is_alone", [True, False])
@pytest.mark.parametrize("name", ACTIONS)
async def test_each_step_interrupted(name, is_alone):
    """Whatever comes between two steps, the position is the one that the event gets."""
    taken, step, steps = [], 0, 1
    while step < steps:
        publisher = Publisher()
        await publisher.open()
        publisher.publish()
        if is_alone:
            await asyncio.sleep(0)  # the loop has stored it
        steps = interrupted(publisher.publish, {step: getattr(publisher, name)})
        taken.append(len(publisher.told))
        publisher.publish_other()
        await publisher.check()
        step += 1
    assert steps > 50
    # Some were refused, but for those where nothing is closed.
    assert max(taken) >= 2
    assert (min(taken) < max(taken)) == (name not in {"publish", "publish_other"})


async def test_each_step_raises():
    """As a signal handler may: the event may be there or not, and others are."""
    step, steps = 0, 1
    while step < steps:
        publisher = Publisher()
        await publisher.open()

        def interrupt():
            raise KeyboardInterrupt

        raised = []
        try:
            steps = interrupted(publisher.publish, {step: interrupt})
        except KeyboardInterrupt:
            raised, steps = ["0"], step + 2
        publisher.publish()
        await publisher.check(raised)
        assert ("a", "1") in publisher.told
        step += 1
    assert steps > 50


async def test_several_steps_interrupted():
    """The same with two or three interruptions, at random."""
    chance = random.Random(1)
    for _ in range(1_000):
        publisher = Publisher()
        await publisher.open()
        publisher.publish()
        names = chance.choices(ACTIONS[:-1], k=chance.choice([2, 3]))
        actions = {chance.randrange(80): getattr(publisher, name) for name in names}
        interrupted(publisher.publish, actions)
        publisher.publish()
        await publisher.check()


async def test_threads_publish_while_the_loop_works():
    """Each event is stored once, in the order of its thread, at the position told."""
    publisher = Publisher()
    await publisher.open()
    refused = []

    def work(channel):
        for _ in range(500):
            while publisher.publish(channel) is None:
                refused.append(channel)
                time.sleep(0)

    threads = [threading.Thread(target=work, args=[channel]) for channel in "aabb"]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for action in itertools.cycle([publisher.append, publisher.begin]):
            if not any(thread.is_alive() for thread in threads):
                break
            action()
            await asyncio.sleep(0)
    finally:
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join()
    await publisher.check()
    assert len(publisher.told) == 2_000
    assert refused


async def test_no_more_than_some_wait():
    """Threads cannot publish faster than the loop stores: then they have to ask it."""
    publisher = Publisher()
    await publisher.open()
    taken = [publisher.publish() is not None for _ in range(100)]
    assert taken == [True] * 64 + [False] * 36
    await asyncio.sleep(0)
    assert publisher.publish() is not None
    await publisher.check()


@pytest.mark.parametrize("channel", ["new", "ended"])
async def test_what_the_loop_has_to_decide(channel):
    """A channel without an event, or one that has ended, is not for threads."""
    publisher = Publisher()
    await publisher.open()
    await publisher.broker.append("ended", Event("x"), terms=Terms(is_end=True))
    assert publisher.publish(channel) is None
    await publisher.check()


async def test_closed():
    """Before it is opened and after it was closed a broker takes nothing from threads."""
    publisher = Publisher()
    publisher.broker.append_at_once("a", Event("x"))
    assert publisher.publish() is None
    await publisher.open()
    assert publisher.publish() is not None
    await publisher.broker.close()
    assert publisher.stored == ["1"]
    publisher.append()
    assert publisher.publish() is None
