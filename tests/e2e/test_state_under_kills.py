"""
Channels with a state while any process is killed: each event once, in order, none missed.

Two servers with two workers each share a storage. A program publishes, retains, forgets, ends
and begins, and writes down what it does. Workers, servers, that program and Redis are killed
with SIGKILL, clients are cut off anywhere, and resume by their last id at either server.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heliograph import Publisher
from heliograph.channels.position import Positions
from heliograph.wire.coding import Coding
from heliograph.wire.framing import Framing
from redises import RedisServer
from seam import Decoder, Follower, Model
from servers import APPS, free_port, gunicorn, serving, uvicorn

pytestmark = [pytest.mark.once, pytest.mark.timeout(120)]

CHANNELS = ("a", "b", "c")
SELECTIONS = [("a",), ("b",), ("a", "b"), CHANNELS]
STARTS = ["retained", "retained", "now", "start", "3"]
SERVERS = [
    gunicorn("plain:app", "--workers", "2", "--worker-class", "gthread", "--threads", "8"),
    uvicorn("streams:app", "--workers", "2"),
]
# For more of it by hand.
OPERATIONS = int(os.environ.get("KILLS_OPERATIONS", "150"))
SEED = os.environ.get("KILLS_SEED")


class Client(Follower):
    """A client that connects again and again."""

    def __init__(self, site, chance):
        super().__init__(site.models, chance.choice(SELECTIONS), chance.choice(STARTS), 0)
        self.site, self.chance = site, chance
        self.named, self.overs = [], []

    def take(self, event):
        super().take(event)
        if not event.type.startswith("heliograph."):
            name = event.data.split()[0]
            self.named.append((name, event.data.rstrip("-"), self.got[name][-1]))

    async def run(self):
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                await self._connection()
            await asyncio.sleep(self.chance.uniform(0.01, 0.1))

    async def _connection(self):
        if self.last_event_id is None:
            # From the beginning: it was cut off before it knew where it was.
            self.joined_at = self.site.lines()
        before = self.site.lines()
        port = self.chance.choice(self.site.ports)
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            query = "&".join(f"channel={name}" for name in self.names)
            lines = [f"GET /stream?{query}&start={self.start} HTTP/1.1", "Host: x"]
            if self.last_event_id is not None:
                lines.append(f"Last-Event-ID: {self.last_event_id}")
            writer.write("\r\n".join([*lines, "", ""]).encode())
            async with asyncio.timeout(10):
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
            status = head.split()[1]
            if status == b"204":
                told = {name: self.ends[name][-1:] for name in self.names}
                self.overs.append((before, self.site.lines(), bool(self.base), told))
            elif status == b"200":
                await self._read(reader, head)
            else:
                assert status in {b"500", b"502", b"503"}, head
        finally:
            writer.transport.abort()

    async def _read(self, reader, head):
        is_chunked = b"transfer-encoding: chunked" in head
        decoder = Decoder(
            Framing.CHUNKED if is_chunked else Framing.IDENTITY,
            Coding.IDENTITY,
            last_event_id=self.last_event_id or "",
        )
        async with asyncio.timeout(self.chance.expovariate(1.0)):
            while data := await reader.read(self.chance.choice([100, 1 << 16, 1 << 16])):
                for event in decoder.feed(data):
                    self.take(event)
                self.last_event_id = decoder.last_event_id or self.last_event_id


class Site:
    """A storage, two servers, the program that publishes."""

    def __init__(self, kind, folder, seed):
        self.folder, self.seed = folder, seed
        self.log = folder / "log.jsonl"
        self.log.touch()
        self.models = {name: Model() for name in CHANNELS}
        self.redis = RedisServer(folder / "redis") if kind == "redis" else None
        url = f"sqlite:///{folder}/events.sqlite3"
        self.url = url if self.redis is None else self.redis.url
        self.ports = [free_port() for _ in SERVERS]
        self.stacks = [contextlib.ExitStack() for _ in SERVERS]
        self.servers = [None for _ in SERVERS]
        for n in range(len(SERVERS)):
            self.start_server(n)
        self.publisher = None
        self.start_publisher()

    def start_server(self, n):
        folder = self.folder / f"{n}"
        folder.mkdir(exist_ok=True)
        env = {
            "APP_SSE_URL": self.url,
            "APP_SSE_LOG_EVENTS": "5",
            "APP_SSE_HISTORY_EVENTS": "10000",
            "APP_SSE_LINGER_SECONDS": "0.5",
        }
        context = serving(SERVERS[n], folder, port=self.ports[n], env=env)
        self.servers[n] = self.stacks[n].enter_context(context)

    def start_publisher(self):
        self.publisher = subprocess.Popen(
            [sys.executable, "state_publisher.py", self.url, self.log, str(self.seed), str(OPERATIONS)],
            cwd=APPS,
        )  # fmt: skip

    def lines(self):
        return self.log.read_bytes().count(b"\n")

    def close(self):
        self.publisher.kill()
        self.publisher.wait()
        for stack in self.stacks:
            stack.close()
        if self.redis is not None:
            self.redis.kill()

    # What may happen.

    def kill_worker(self, chance):
        server = chance.choice(self.servers)
        pids = [
            pid
            for pid in server.workers()
            if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        if pids:
            os.kill(chance.choice(sorted(pids)), signal.SIGKILL)

    def kill_server(self, chance):
        n = chance.randrange(len(SERVERS))
        os.killpg(self.servers[n].process.pid, signal.SIGKILL)
        self.servers[n].process.wait()
        self.stacks[n].close()
        self.start_server(n)

    def kill_publisher(self, chance):
        del chance
        self.publisher.kill()
        self.publisher.wait()
        self.start_publisher()

    def kill_storage(self, chance):
        if self.redis is not None:
            self.redis.kill()
            time.sleep(chance.uniform(0, 0.3))
            self.redis.start()


FAULTS = [
    *[Site.kill_worker] * 3,
    *[Site.kill_publisher] * 3,
    Site.kill_server,
    Site.kill_storage,
]


def replay(site):
    """Do in the models what was done; return when a channel may have been without its end."""
    lives = {name: [] for name in CHANNELS}
    began_at = 0
    for at, line in enumerate(map(json.loads, site.log.read_text().splitlines())):
        name, model = line["channel"], site.models[line["channel"]]
        if not line["done"]:
            began_at = at
            continue
        if line["what"] == "forget":
            model.release(at, line["key"])
        elif line["what"] == "begin":
            if model.has_ended:
                lives[name][-1][1] = at
            model.begin(at)
        else:
            position = Positions.parse(line["id"], (name,))[name]
            data = line.get("data")
            is_end = line["what"] == "end"
            if is_end and model.has_ended:
                assert model.place(position) == model.head
                continue
            model.store(
                position, at, key=line["key"], is_end=is_end,
                name=None if data is None else data.rstrip("-"),
            )  # fmt: skip
            if is_end:
                lives[name].append([began_at, float("inf"), model.head])
    return lives


def check_over(client, lives):
    """Each 204 was for channels whose ends the client had seen, while they had ended."""
    for before, after, was_served, told in client.overs:
        for name in client.names:
            ends = [
                place
                for began, until, place in lives[name]
                if began <= after and until >= before
            ]
            assert ends, "204 without an end"
            if was_served:
                assert {*told[name]} & {*ends}, "204 before the end was told"


async def harm(site, chance):
    kills = 0
    # However fast the program has done its part: started again it has nothing to do.
    while kills < 4 or site.publisher.poll() is None:
        await asyncio.sleep(chance.uniform(0.05, 0.4))
        fault = chance.choice(FAULTS)
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            await asyncio.to_thread(fault, site, chance)
            kills += 1
    assert site.publisher.returncode == 0
    return kills


def finish(site):
    """Publish once more in each channel, so that all clients have something to wait for."""
    with Publisher(site.url) as publisher, site.log.open("a") as log:
        for name in CHANNELS:
            data = f"{name} last "
            done = {"channel": name, "key": None, "done": True}
            begun = publisher.begin(name) if site.models[name].has_ended else None
            id_ = publisher.publish(data, channel=name)
            for line in (
                {"what": "begin", "id": begun},
                {"what": "publish", "data": data, "id": id_},
            ):
                if line["id"] is not None:
                    print(json.dumps(done | line), file=log)


async def caught_up(clients, reading):
    """Wait until all clients have everything."""
    async with asyncio.timeout(40):
        for client, task in zip(clients, reading, strict=True):
            while not (client.base and client.has_all()):
                if task.done():
                    task.result()
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_state_under_kills(kind, tmp_path, chance):
    seed = int(SEED) if SEED else chance.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    site = await asyncio.to_thread(Site, kind, tmp_path, seed)
    clients, reading = [], []
    try:
        for n in range(8):
            clients.append(Client(site, random.Random(f"{seed} {n}")))
            reading.append(asyncio.create_task(clients[-1].run()))
        kills = await harm(site, chance)
        replay(site)
        await asyncio.to_thread(finish, site)
        for name in CHANNELS:
            site.models[name].clear()
        lives = replay(site)
        await caught_up(clients, reading)
    finally:
        for task in reading:
            task.cancel()
        found = await asyncio.gather(*reading, return_exceptions=True)
        await asyncio.to_thread(site.close)
    for error in found:
        if error is not None and not isinstance(error, asyncio.CancelledError):
            raise error
    for client in clients:
        client.check()
        check_over(client, lives)
        for name, data, place in client.named:
            assert site.models[name].places[data] == place, (name, data, place)
        if "~" not in client.last_event_id:
            client.check_all()
    print(f"{kills} kills, {sum(len(c.named) for c in clients)} events taken,"
          f" {sum(len(c.overs) for c in clients)} times 204,"
          f" {sum(len(e) for c in clients for e in c.ends.values())} ends,"
          f" {sum(c.gaps for c in clients)} gaps")  # fmt: skip
