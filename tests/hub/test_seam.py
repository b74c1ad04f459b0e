"""
What is retained, what is missed and what comes live, at random: each event once, in order.

Clients join, read as much as they like, are cut off anywhere, and resume by their last id,
perhaps in another process. Programs take events with ``subscribe``. Publishers in all
processes publish at the same time, end channels and begin them again.
"""

import asyncio
import contextlib
import os
import random
import time
from collections import Counter

import pytest

import streams
from heliograph import Event, HubConfig
from heliograph.brokers import Retention, Terms, open_broker
from heliograph.brokers.memory import MemoryBroker
from heliograph.channels.position import Positions
from heliograph.errors import ChannelEndedError
from heliograph.hub.hub import Hub
from redises import RedisServer
from seam import Model
from seam_clients import Program, Reader

CHANNELS = ("a", "b", "c")
SELECTIONS = [("a",), ("a",), ("b",), ("a", "b"), CHANNELS]
STARTS = ["retained", "retained", "retained", "now", "start", 3]
KEYS = [None, None, "", "x", "y", "z"]
BYTES = [0, 0, 10, 30_000]
# More than a page has, by number and by size.
MANY = [f"many-{n}" for n in range(100)]
FORGET_SECONDS = 100.0


class Schedule:
    """Steps at random, with some hubs that share a storage."""

    def __init__(self, hubs, chance, events, *, broker=None, clock=None):
        self.hubs, self.chance, self.events = hubs, chance, events
        self.broker, self.clock = broker, clock
        self.models = {name: Model(self.epoch_of(name)) for name in CHANNELS}
        self.followers = []
        self.published = 0
        # The idempotency keys that history has, of each channel: a key -> the event's name.
        self.keys = {name: {} for name in CHANNELS}
        self.counts = Counter()

    async def run(self, steps):
        for step in range(steps):
            self.note_epochs()
            await self.step(step)
            for follower in self.followers:
                follower.check()
        await self.end_all(steps)
        for name, model in self.models.items():
            if model.has_ended:
                await self.begin(name, steps)
        for follower in self.followers:
            await self.read_until(follower, lambda it: it.base)
        # The second time everyone is beyond what follows a gap event.
        for _ in range(2):
            for name in self.models:
                await self.publish(name, steps)
            for follower in self.followers:
                await self.read_until(follower, lambda it: it.has_all())
        for follower in self.followers:
            follower.check_all()
            follower.leave()

    async def end_all(self, step):
        """Whoever has seen the end is told so at once when it comes back."""
        await self.end("a", step, None)
        for follower in self.followers:
            if follower.names == ("a",) and isinstance(follower, Reader):
                over = False
                for _ in range(3):
                    while follower.is_open:
                        await follower.read()
                        follower.check()
                    over = over or not await follower.connect(self.hub())
                assert over, follower.story

    async def read_until(self, follower, condition):
        while not condition(follower):
            if not follower.is_open:
                assert await follower.connect(self.hub())
            await follower.read()
            follower.check()

    def hub(self):
        return self.chance.choice(self.hubs)

    async def step(self, step):
        chance = self.chance
        name, hub, what = chance.choice(CHANNELS), self.hub(), chance.random()
        if what < 0.35:
            await self.publish(name, step, key=chance.choice(KEYS))
        elif what < 0.40:
            # By all processes at the same time.
            await asyncio.gather(
                *(
                    self.publish(name, step, key=chance.choice(KEYS), hub=one)
                    for one in self.hubs
                    for _ in range(3)
                )
            )
        elif what < 0.41:
            for key in MANY:
                await self.publish(name, step, key=key, size=3_000)
        elif what < 0.44:
            await self.repeat(name)
        elif what < 0.48:
            key = chance.choice("xyz")
            await hub.ask(lambda state: state.forget((name,), key))
            self.models[name].release(step, key)
        elif what < 0.51:
            await self.end(name, step, chance.choice([None, ""]))
        elif what < 0.55:
            await self.begin(name, step)
        elif what < 0.56 and self.clock is not None:
            await self.forget(step)
        elif what < 0.64:
            kind = Program if chance.random() < 0.2 else Reader
            names, start = chance.choice(SELECTIONS), chance.choice(STARTS)
            self.followers.append(kind(self.models, names, start, step, chance))
            await self.followers[-1].connect(hub)
        elif self.followers:
            await self.follow(chance.choice(self.followers[-6:]), hub)

    async def follow(self, follower, hub):
        if self.chance.random() < 0.15 or not follower.is_open:
            await follower.connect(hub)
        elif follower.has_more():
            await follower.read()
        else:
            await asyncio.sleep(0)

    async def publish(self, name, step, *, key=None, size=None, hub=None):
        chance, model = self.chance, self.models[name]
        if model.has_ended:
            return
        self.published += 1
        data = f"{name} {self.published} "
        own_id = f"own-{self.published}" if chance.random() < 0.2 else None
        once = f"once-{self.published}" if chance.random() < 0.3 else None
        size = chance.choice(BYTES) if size is None else size
        terms = Terms(retain_as=key, idempotency_key=once)
        try:
            (entry,) = await (hub or self.hub()).publish(
                [name], Event(data + "-" * size, id=own_id), terms
            )
        except ChannelEndedError:
            assert model.has_ended
            return
        model.store(entry.position, step, name=data, key=key)
        if once is not None:
            self.keys[name][once] = data

    async def repeat(self, name):
        """Publish again what was published already."""
        model = self.models[name]
        oldest = max(model.began, (model.head[0], model.head[1] - self.events))
        known = {k: d for k, d in self.keys[name].items() if model.places[d] > oldest}
        if not known:
            return
        once, data = self.chance.choice([*known.items()])
        terms = Terms(idempotency_key=once, retain_as=self.chance.choice(KEYS))
        (entry,) = await self.hub().publish([name], Event("never"), terms)
        assert model.place(entry.position) == model.places[data]
        self.counts["repeated"] += 1

    async def end(self, name, step, key):
        model, hub = self.models[name], self.hub()
        if model.has_ended:
            return
        self.published += 1
        data = f"{name} {self.published} "
        is_bare = self.chance.random() < 0.5
        own_id = f"own-{self.published}" if self.chance.random() < 0.3 else None
        event = None if is_bare else Event(data, id=own_id)
        key = None if is_bare else key
        id_ = await hub.ask(lambda state: state.end(name, event, Terms(retain_as=key)))
        position = Positions.parse(id_, (name,))[name]
        model.store(position, step, name=None if is_bare else data, key=key, is_end=True)

    async def begin(self, name, step):
        await self.hub().ask(lambda state: state.begin(name))
        self.models[name].begin(step)

    async def forget(self, step):
        """Long after, storage has forgotten what nobody uses or what has ended."""
        before = {name: name in self.broker._channels for name in CHANNELS}
        await asyncio.sleep(0)  # what was published a day ago has arrived
        self.clock.now += 2 * FORGET_SECONDS
        await self.broker._sweep()
        # Of those that are listened to history is over, too.
        self.keys = {name: {} for name in CHANNELS}
        self.note_epochs()
        for name, model in self.models.items():
            if before[name] and name not in self.broker._channels:
                model.begin(step)
                self.counts["forgotten"] += 1

    def note_epochs(self):
        for model in self.models.values():
            model.note_epoch()

    def epoch_of(self, name):
        """In memory a channel has its epoch before the first event."""
        if isinstance(self.broker, MemoryBroker):
            return lambda: self.broker._found(name).head.epoch
        return None


class Clock:
    def __init__(self):
        self.now = time.time()

    def __call__(self):
        return self.now


# (events in history, events in the log of a process): few in history make gaps, and few in
# the log make reads of storage.
BOUNDS = [(1000, 1000), (1000, 3), (8, 3)]
# How many schedules of each: more by hand.
TIMES = int(os.environ.get("SEAM_TIMES", "0"))


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def addresses(request, tmp_path):
    """Return a function that returns a URL of storage that nobody has used."""
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        return lambda n: f"{server.url}/0?prefix=s{n}-{tmp_path.name}"
    return lambda n: "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/{n}"


@contextlib.asynccontextmanager
async def scheduled(url, bounds, chance):
    events, log_events = bounds
    retention = Retention(events=events, seconds=1e6)
    clock = None
    if url == "memory:":
        clock = Clock()
        # In seconds of that clock.
        retention = Retention(
            events=events, seconds=FORGET_SECONDS, forget_seconds=FORGET_SECONDS
        )
        brokers = [MemoryBroker(retention, clock=clock)]
    else:
        brokers = [open_broker(url, retention) for _ in range(2)]
    config = HubConfig(
        log_events=log_events,
        retry_ms=0,
        max_event_bytes=40_000,
        max_lag_bytes=100_000,
    )
    hubs = [Hub(broker, config) for broker in brokers]
    async with contextlib.AsyncExitStack() as stack:
        for hub in hubs:
            await hub.open()
            stack.push_async_callback(hub.close)
        yield Schedule(hubs, chance, events, broker=brokers[0], clock=clock)


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("addresses", ["memory", "sqlite", "redis"], indirect=True)
async def test_at_random(bounds, addresses, chance):
    """In one process, and in two with a storage that they share."""
    gaps = replayed = ends = 0
    counts = Counter()
    times = 8 if addresses(0) == "memory:" else 5
    for n in range(TIMES or times):
        seed = chance.randrange(1 << 32)
        print(f"schedule {n}: {seed}")
        async with scheduled(addresses(n), bounds, random.Random(seed)) as schedule:
            await schedule.run(120)
        counts += schedule.counts
        gaps += sum(each.gaps for each in schedule.followers)
        ends += sum(len(each.ends) for each in schedule.followers)
        replayed += sum(
            bool(each.got[name]) and each.got[name][0] <= each.base[name]
            for each in schedule.followers
            for name in each.base
        )
        while streams.connections:
            streams.connections.pop().close()
    # It has been tried.
    assert replayed
    assert ends
    assert counts["repeated"]
    assert gaps or bounds[0] > 100
