"""
Redis goes back to older states at random, and nobody misses anything without being told.

Each event is known with the one that stood before it when it was published. So each client
can be checked alone: what it is given follows what it was given before, or a gap event.
"""

import asyncio
import contextlib
import json
import os

import pytest
import redis

from heliograph import BrokerUnavailableError, Event, HubConfig
from heliograph.brokers import Retention, open_broker
from heliograph.hub import Hub
from redises import RedisServer

RETENTION = Retention(events=10_000, seconds=86_400)
KEYS = ["heliograph:{a}:channel", "heliograph:{a}:events"]
SECONDS = float(os.environ.get("HELIOGRAPH_SECONDS", "15"))


class Storage:
    """A Redis whose channel can be put back to what it was."""

    def __init__(self, server):
        self.client = redis.Redis(port=server.port)
        self.saved = None

    def epoch(self):
        return self.client.hget(KEYS[0], "epoch")

    def save(self):
        self.saved = self.epoch(), [self.client.dump(key) for key in KEYS]

    def go_back(self, *, cuts):
        """As a replica does that was behind, or a server with an older snapshot."""
        with self.client.pipeline() as pipe:
            for key, dump in zip(KEYS, self.saved[1], strict=True):
                pipe.restore(key, 0, dump, replace=True)
            pipe.execute()
        for kind in ("pubsub", "normal") if cuts else ():
            self.client.client_kill_filter(_type=kind, skipme=True)

    def before(self, word):
        """The event that stands before one that has just been published, if it still does."""
        entries = self.client.xrevrange(KEYS[1], count=2)
        words = [json.loads(fields[b"event"])["data"] for _, fields in entries]
        return words[1] if len(words) == 2 and words[0] == word else None


class Client:
    """Comes and goes; remembers what it was given since the last gap event."""

    def __init__(self, predecessors):
        self.predecessors = predecessors
        self.given = []
        self.last_event_id = None
        self.wrong = []
        self.gaps = 0
        self.task = None

    def come(self, hub):
        self.task = asyncio.create_task(self._take(hub))

    async def go(self):
        task, self.task = self.task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _take(self, hub):
        async with hub.subscribe(("a",), last_event_id=self.last_event_id) as events:
            self.last_event_id = events.last_event_id or self.last_event_id
            async for event in events:
                self.last_event_id = events.last_event_id
                if event.type == "heliograph.gap":
                    self.gaps += 1
                    self.given = []
                    continue
                before = self.predecessors.get(event.data)
                if event.data in self.given:
                    self.wrong.append(("twice", event.data))
                if self.given and before not in {None, self.given[-1]}:
                    self.wrong.append((self.given[-1], event.data, "is after", before))
                self.given.append(event.data)


@contextlib.asynccontextmanager
async def hub_at(url, log_events):
    hub = Hub(open_broker(url, RETENTION), HubConfig(log_events=log_events))
    await hub.open()
    try:
        yield hub
    finally:
        await hub.close()


@pytest.mark.timeout(120 + 2 * SECONDS)
async def test_nothing_is_missing_without_a_gap(tmp_path, chance):
    """Two processes with clients that stay and clients that move; a third that publishes."""
    server = RedisServer(tmp_path / "redis")
    storage = Storage(server)
    predecessors = {}
    published = []

    async def publish(append):
        word = f"e{len(published)}"
        published.append(word)
        while True:
            try:
                await append(Event(word))
                break
            except BrokerUnavailableError:
                await asyncio.sleep(0.05)
        predecessors[word] = storage.before(word)

    try:
        async with hub_at(server.url, 4) as one, hub_at(server.url, 100) as two:
            staying = [Client(predecessors) for _ in range(2)]
            moving = [Client(predecessors) for _ in range(5)]
            for client, hub in zip(staying, (one, two), strict=True):
                client.come(hub)
            await publish(lambda event: one.publish(["a"], event))
            rollbacks = 0
            ends = asyncio.get_running_loop().time() + SECONDS
            while asyncio.get_running_loop().time() < ends:
                what = chance.random()
                if what < 0.45:
                    hub = chance.choice([one, two])
                    for _ in range(chance.choice([1, 1, 2, 5])):
                        await publish(lambda event, hub=hub: hub.publish(["a"], event))
                elif what < 0.55:
                    storage.save()
                elif what < 0.63 and storage.saved and storage.saved[0] == storage.epoch():
                    rollbacks += 1
                    storage.go_back(cuts=chance.random() < 0.5)
                    if chance.random() < 0.5:
                        # Somebody publishes who has seen nothing.
                        stranger = open_broker(server.url, RETENTION)
                        await stranger.open(None)
                        for _ in range(chance.choice([1, 3, 12])):
                            await publish(lambda event, it=stranger: it.append("a", event))
                        await stranger.close()
                    await asyncio.sleep(chance.choice([0, 1.5]) * chance.random())
                else:
                    client = chance.choice(moving)
                    if client.task is None:
                        client.come(chance.choice([one, two]))
                    else:
                        await client.go()
                await asyncio.sleep(chance.random() * 0.05)
            for client in moving:
                if client.task is None:
                    client.come(chance.choice([one, two]))
            await publish(lambda event: one.publish(["a"], event))
            clients = [*staying, *moving]
            while any(client.given[-1:] != published[-1:] for client in clients):
                await asyncio.sleep(0.05)
            for client in clients:
                await client.go()

        assert [client.wrong for client in clients] == [[]] * len(clients)
        assert rollbacks > 3
        assert sum(client.gaps for client in clients) > 0
    finally:
        server.kill()
