"""
Three hundred clients that come and go while Redis does, too.

Two gunicorn instances with two workers each serve them, a plain script publishes; all share
one Redis: a server, a primary with Sentinels, or a cluster. Workers are recycled, Redis's
clients killed, its servers restarted. ``HELIOGRAPH_SECONDS`` says for how long.
"""

import asyncio
import itertools
import os
import signal
import sys
import time

import pytest

from readers import Reader, stop
from redises import Cluster, RedisServer, Watched, wait_for
from servers import APPS, gunicorn, serving

CLIENTS = 300
CHANNELS = [f"c{n}" for n in range(30)]


async def kill_ahead_of(primary, replica):
    """Kill a primary that has sent to its clients what its replica does not have."""
    replica.pause()
    with primary.client() as client:
        client.client_kill_filter(_type="replica")
    await asyncio.sleep(0.3)
    primary.kill()
    replica.go_on()


class Restarted:
    """A server that is killed and started again; it has written down what it answered."""

    url_options = ""

    def __init__(self, folder):
        self.redis = RedisServer(folder / "redis")
        self.url = self.redis.url

    async def disturb(self):
        self.redis.kill()
        await asyncio.sleep(0.5)
        await asyncio.to_thread(self.redis.start)

    def clients_of(self):
        return [self.redis]

    def kill(self):
        self.redis.kill()


class FailedOver:
    """A primary that is killed; a replica takes its place, and it comes back as another."""

    url_options = "?replicas=1&socket_timeout=2"

    def __init__(self, folder):
        # A Sentinel may change its mind: then two servers are primaries for a while.
        self.redis = Watched(folder / "redis", min_replicas=1)
        self.url = self.redis.url

    async def disturb(self):
        primary = self.redis.primary()
        (replica,) = (one for one in self.redis.servers if one is not primary)
        # So that something is lost.
        primary.set("min-replicas-to-write", 0)
        await kill_ahead_of(primary, replica)
        await asyncio.to_thread(wait_for, lambda: self.redis.primary() is not primary)
        await asyncio.to_thread(self.redis.come_back, primary)

    def clients_of(self):
        return self.redis.servers

    def kill(self):
        self.redis.kill()


class Shards:
    """A cluster in which a primary is killed; its replica takes its place."""

    url_options = "?replicas=1&socket_timeout=2"

    def __init__(self, folder):
        self.redis = Cluster(folder / "redis", replicas=1)
        self.url = self.redis.url

    async def disturb(self):
        primary = self.redis.primaries()[0]
        await kill_ahead_of(primary, self.redis.replica_of(primary))
        await asyncio.to_thread(wait_for, lambda: len(self.redis.primaries()) == 3)
        await asyncio.to_thread(primary.start)
        await asyncio.to_thread(wait_for, self.redis.is_replicated)

    def clients_of(self):
        return self.redis.servers

    def kill(self):
        self.redis.kill()


@pytest.fixture(
    params=[
        pytest.param(Restarted, id="server"),
        pytest.param(FailedOver, id="sentinel"),
        pytest.param(Shards, id="cluster"),
    ]
)
def storage(request, tmp_path):
    storage = request.param(tmp_path)
    yield storage
    storage.kill()


@pytest.fixture
def children():
    """Programs that the test has started; whatever still runs at its end is killed."""
    started = []
    yield started
    for process in started:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)


def kill_clients(storage, kind):
    for server in storage.clients_of():
        if server.process.poll() is None:
            with server.client() as client:
                client.client_kill_filter(_type=kind)


@pytest.mark.timeout(400)
async def test_every_record_is_complete(storage, children, tmp_path, chance):
    """
    All that a publish returned for has reached everyone, in order and once.

    On the channels on which publishes wait nothing at all is missing. Where a replica takes
    over, what was not acknowledged may have been seen and be gone: then there is a gap
    event, and what follows it may come again.
    """
    seconds = float(os.environ.get("HELIOGRAPH_SECONDS", "14"))
    url = f"{storage.url}{storage.url_options}"
    env = {"APP_SSE_URL": url, "APP_SSE_RETRY_MS": "0"}
    sync = gunicorn("plain:app", "--workers", "2", "--log-level", "warning")
    threads = [*sync, "--worker-class", "gthread", "--threads", "4"]
    with (
        serving(sync, tmp_path, env=env) as one,
        serving(threads, tmp_path, env=env) as two,
    ):
        readers = [
            Reader(
                [one.port, two.port],
                chance.sample(CHANNELS, chance.choice([1, 1, 2, 5, 20])),
            )
            for _ in range(CLIENTS)
        ]
        ending = asyncio.Event()
        tasks = [asyncio.create_task(reader.run(chance, ending)) for reader in readers]
        # A record begins where the client's first stream does, so all begin at the start.
        while not all(reader.last_event_id for reader in readers):
            await asyncio.sleep(0.05)
        publisher = await asyncio.create_subprocess_exec(
            sys.executable, APPS / "publisher.py", url, *CHANNELS,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        children.append(publisher)
        returned = {name: [] for name in CHANNELS}

        async def note():
            async for line in publisher.stdout:
                name, n = line.decode().split()
                returned[name].append(int(n))

        noting = asyncio.create_task(note())
        ends, disturbed = time.monotonic() + seconds, 0
        while time.monotonic() < ends or disturbed < 3:
            await asyncio.sleep(seconds / 20)
            await asyncio.to_thread(kill_clients, storage, "normal")
            one.signal(signal.SIGHUP)
            await asyncio.sleep(seconds / 20)
            await asyncio.to_thread(kill_clients, storage, "pubsub")
            two.signal(signal.SIGHUP)
            for reader in chance.sample(readers, CLIENTS // 3):
                reader.away = True
            await asyncio.sleep(seconds / 20)
            if disturbed < 3:
                await storage.disturb()
                disturbed += 1
            for reader in readers:
                reader.away = False
        publisher.stdin.close()
        assert await publisher.wait() == 0
        await noting
        ending.set()

        def is_complete(reader):
            return all(
                set(returned[name]) <= set(reader.record[name]) for name in reader.channels
            )

        deadline = time.monotonic() + 60
        while not all(is_complete(reader) for reader in readers):
            missing = [
                (
                    name,
                    sorted(set(returned[name]) - set(reader.record[name]))[:9],
                    reader.gaps,
                )
                for reader in readers
                for name in reader.channels
                if not set(returned[name]) <= set(reader.record[name])
            ]
            assert time.monotonic() < deadline, missing
            await asyncio.sleep(0.1)
        failures = await stop(readers, tasks)

    assert failures == []
    gaps = sum(len(reader.gaps) for reader in readers)
    print("published", sum(map(len, returned.values())),
          "connections", sum(reader.connections for reader in readers), "gaps", gaps)  # fmt: skip
    assert sum(map(len, returned.values())) > 5 * seconds
    assert sum(reader.connections for reader in readers) > 3 * CLIENTS
    # Where a replica takes over, all that was lost may have been published again.
    assert gaps == 0 or not isinstance(storage, Restarted)
    for reader in readers:
        for name in reader.channels:
            record = reader.record[name]
            cuts = [
                0,
                *(sizes[name] for data, sizes in reader.gaps if name in data["channels"]),
                len(record),
            ]
            for start, end in itertools.pairwise(cuts):
                part = record[start:end]
                assert part == sorted(set(part)), (name, reader.gaps)
            if name in CHANNELS[::2]:
                assert set(record) == set(range(len(set(record)))), name
    for server in (one, two):
        assert "Traceback" not in server.log_text()
