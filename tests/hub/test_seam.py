"""
What is retained, what is missed and what comes live, at random: each event once, in order.

Clients join, read as much as they like, are cut off anywhere, and resume by their last id,
perhaps in another process. A client has a base in each channel: where it joined, or was told
of a gap. Up to there it gets retained events only, and after it all events, without a hole.
"""

import asyncio
import contextlib
import json
import select
from collections import defaultdict

import pytest

from heliograph import Event
from heliograph.brokers import Terms
from heliograph.channels.position import Positions
from heliograph.channels.start import Start
from hubs import opened
from streams import connect

CHANNELS = ("a", "b")
SELECTIONS = [("a",), ("b",), CHANNELS]
STARTS = ["retained", "retained", "retained", "now", "start", 3]
KEYS = [None, None, "", "x", "y", "z"]
BYTES = [0, 0, 10, 30_000]


class Model:
    """What was done in one channel."""

    def __init__(self):
        self.head = 0
        self.has_ended = False
        # A key -> the offset of the event that is retained with it.
        self.retained = {}
        # The offset of a retained event -> the step until which it was retained.
        self.until = {}

    def release(self, step, *keys):
        for key in keys:
            offset = self.retained.pop(key, None)
            if offset is not None:
                self.until[offset] = step


class Follower:
    """A client that is cut off and resumes, and what it has got of each channel."""

    def __init__(self, names, start, step):
        self.names, self.start, self.joined_at = names, start, step
        self.client = self.last_event_id = None
        self.is_open = False
        # A channel -> where it began to follow, first and since the last gap.
        self.first_base, self.base = {}, {}
        # A channel -> the offsets of all events that it has got, and of ends.
        self.got, self.ends = defaultdict(list), defaultdict(list)
        self.gaps = 0

    def connect(self, hub, chance):
        if self.client is not None:
            # Kept if it is cut off before it gets another one.
            self.last_event_id = self.client.parser.last_event_id or self.last_event_id
            self.client.leave()
        self.client = connect(
            hub,
            *self.names,
            read_buffer=chance.choice([None, 4096]),
            last_event_id=self.last_event_id,
            start=Start.parse(self.start),
        )
        self.is_open = True

    def has_more(self):
        return bool(select.select([self.client.connection], [], [], 0)[0])

    async def read(self):
        self.is_open = bool(await self.client.read())
        for opening in self.client.parser.openings:
            if not self.base:
                self.begin(opening["id"], self.names)
        self.client.parser.openings.clear()
        events, self.client.events = self.client.events, []
        for event in events:
            self.take(event)

    def begin(self, id_, names):
        positions = Positions.parse(id_, self.names)
        for name in names:
            self.base[name] = positions[name].offset
            self.first_base.setdefault(
                name, 0 if self.start == "retained" else self.base[name]
            )

    def take(self, event):
        if event.type == "heliograph.gap":
            self.gaps += 1
            self.begin(event.id, json.loads(event.data)["channels"])
        elif event.type == "heliograph.end":
            name = json.loads(event.data)["channel"]
            self.ends[name].append(Positions.parse(event.id, self.names)[name].offset)
        else:
            name, offset, _ = event.data.split(" ")
            self.got[name].append(int(offset))

    def check(self, models):
        for name, base in self.base.items():
            got, ends = self.got[name], self.ends[name]
            assert got == sorted(set(got))
            assert ends == sorted(set(ends))
            live = [offset for offset in got if offset > base]
            assert live == list(range(base + 1, base + 1 + len(live)))
            if not self.gaps:
                model = models[name]
                for offset in got[: len(got) - len(live)]:
                    assert (
                        offset in model.retained.values()
                        or model.until[offset] >= self.joined_at
                    )

    def has_all(self, models):
        return all(models[name].head in self.got[name] for name in self.names)

    def check_all(self, models):
        if self.start == "now":
            return
        for name in self.names:
            kept = models[name].retained.values()
            base, first = self.base[name], self.first_base[name]
            missing = {n for n in kept if first < n <= base} - {*self.got[name]}
            assert not missing


class Schedule:
    """Steps at random, with some hubs that share a storage."""

    def __init__(self, hubs, chance):
        self.hubs, self.chance = hubs, chance
        self.models = {name: Model() for name in CHANNELS}
        self.followers = []

    async def run(self, steps):
        for step in range(steps):
            await self.step(step)
            for follower in self.followers:
                follower.check(self.models)
        for name, model in self.models.items():
            if model.has_ended:
                await self.begin(name, steps)
        for follower in self.followers:
            await self.read_until(follower, lambda it: it.base)
        for name in self.models:
            await self.publish(name, steps, key=None, size=0)
        for follower in self.followers:
            await self.read_until(follower, lambda it: it.has_all(self.models))
            follower.check_all(self.models)

    async def read_until(self, follower, condition):
        while not condition(follower):
            if not follower.is_open:
                follower.connect(self.chance.choice(self.hubs), self.chance)
            await follower.read()
            follower.check(self.models)

    async def step(self, step):
        chance = self.chance
        name, hub, what = chance.choice(CHANNELS), chance.choice(self.hubs), chance.random()
        if what < 0.45:
            await self.publish(
                name, step, key=chance.choice(KEYS), size=chance.choice(BYTES)
            )
        elif what < 0.5:
            key = chance.choice("xyz")
            await hub.ask(lambda state: state.forget((name,), key))
            self.models[name].release(step, key)
        elif what < 0.53:
            await self.begin(name, step)
        elif what < 0.65:
            self.followers.append(
                Follower(chance.choice(SELECTIONS), chance.choice(STARTS), step)
            )
            self.followers[-1].connect(hub, chance)
        elif self.followers:
            follower = chance.choice(self.followers[-6:])
            if what < 0.72 or not follower.is_open:
                follower.connect(hub, chance)
            elif follower.has_more():
                await follower.read()
            else:
                await asyncio.sleep(0)

    async def publish(self, name, step, *, key, size):
        model, hub = self.models[name], self.chance.choice(self.hubs)
        if model.has_ended:
            return
        model.head += 1
        event, terms = Event(f"{name} {model.head} {'-' * size}"), Terms(retain_as=key)
        model.has_ended = size > 0 and self.chance.random() < 0.1
        if model.has_ended:
            await hub.ask(lambda state: state.end(name, event, terms))
        else:
            await hub.publish([name], event, terms)
        if key is not None:
            model.release(step, key)
            model.retained[key] = model.head

    async def begin(self, name, step):
        await self.chance.choice(self.hubs).ask(lambda state: state.begin(name))
        model = self.models[name]
        model.release(step, *model.retained)
        model.has_ended = False


# (events in history, events in the log of a process): few in history make gaps, and few in
# the log make reads of storage.
BOUNDS = [(1000, 1000), (1000, 3), (8, 3)]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("processes", [1, 2], ids=["memory", "sqlite"])
async def test_at_random(bounds, processes, tmp_path, chance):
    """In one process, and in two with a storage that they share."""
    events, log_events = bounds
    gaps = replayed = ends = 0
    for n in range(40 if processes == 1 else 12):
        url = "memory:" if processes == 1 else f"sqlite:///{tmp_path}/{n}"
        async with contextlib.AsyncExitStack() as stack:
            hubs = [
                await stack.enter_async_context(
                    opened(url, events=events, log_events=log_events, retry_ms=0)
                )
                for _ in range(processes)
            ]
            schedule = Schedule(hubs, chance)
            await schedule.run(120)
        gaps += sum(each.gaps for each in schedule.followers)
        ends += sum(len(each.ends) for each in schedule.followers)
        replayed += sum(
            bool(each.got[name]) and each.got[name][0] <= each.base[name]
            for each in schedule.followers
            for name in each.base
        )
    # It has been tried.
    assert replayed > 20
    assert ends > 20
    assert gaps > 20 or events > 100
