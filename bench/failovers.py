"""
Failovers of Redis while events are published: how many acknowledged events are lost.

Publishers with different numbers of ``replicas`` share one set-up: a primary, two replicas
and three Sentinels, or a cluster of three primaries with two replicas each. All go through
the same failovers. Each round is one of these, and the next begins when all is well again:

- planned: ``SENTINEL FAILOVER``, or ``CLUSTER FAILOVER``
- forced: ``CLUSTER FAILOVER TAKEOVER``, which does not ask the primary; a cluster only
- kill: ``kill -9`` of a primary, which is started again as a replica
- pause: a primary hangs (SIGSTOP) until another is elected, and then continues
- replica: ``kill -9`` of a replica, which is started again

At the end the whole history is compared with what was acknowledged and with what a
listener got.

    python bench/failovers.py [--rounds 50] [--kinds planned,kill] [--seed 1] [--cluster]

``--cost`` measures instead how long publishes take. Give ``--seed`` to repeat the order of rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

# Instead of this folder, where a file has the name of the driver.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import redis

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers import Retention, open_broker
from heliograph.brokers.values import Attempt
from redises import Cluster, Watched, wait_for

RETENTION = Retention(events=10_000_000, seconds=7 * 86_400)
KINDS = ("planned", "forced", "kill", "pause", "replica")
CALM_SECONDS = 1.0
WELL_SECONDS = 900


class Listener:
    """Counts how often each event has arrived."""

    def __init__(self):
        self.seen = Counter()
        self.gaps = 0

    def on_entries(self, entries):
        self.seen.update(int(entry.event.data) for entry in entries)

    def on_restart(self, channel, start, *, gap):  # noqa: ARG002 - as brokers call it
        self.gaps += gap

    def on_passing(self, channel, event):
        pass

    def on_connection(self, *, up, reason):
        pass


class Publisher:
    """Publishes at a steady rate, whatever happens, and repeats what fails."""

    def __init__(self, url, replicas, rate, channels):
        self.replicas = replicas
        self.url = f"{url}?replicas={replicas}&prefix=r{replicas}:&socket_timeout=2"
        self.rate = rate
        self.channels = [f"c{n}" for n in range(channels)]
        self.acknowledged = {}  # event -> round
        self.longest = 0.0
        self.errors = Counter()
        self.listener = Listener()

    async def run(self, stopping, current):
        self.broker = open_broker(self.url, RETENTION)
        ear = open_broker(self.url, RETENTION)
        await self.broker.open(Listener())
        await ear.open(self.listener)
        for channel in self.channels:
            await self.until_done(lambda channel=channel: ear.listen(channel))
        tasks, number = set(), 0
        self.last = time.monotonic()
        while not stopping.is_set():
            task = asyncio.create_task(self.publish(number, current))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
            await asyncio.sleep(1 / self.rate)
        if tasks:
            await asyncio.wait(tasks, timeout=120)
        self.unfinished = len(tasks)
        self.stored = await self.history()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                while set(self.acknowledged) & set(self.stored) - set(self.listener.seen):
                    await asyncio.sleep(0.1)
        await ear.close()
        await self.broker.close()

    async def publish(self, number, current):
        attempt, channel = Attempt(), self.channels[number % len(self.channels)]
        event = Event(str(number))
        await self.until_done(lambda: self.broker.append(channel, event, repeats=attempt))
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        self.acknowledged[number] = current[0]

    async def until_done(self, call):
        delay = 0.05
        while True:
            try:
                return await call()
            except BrokerUnavailableError as error:
                self.errors[str(error).partition(": ")[2][:90]] += 1
                await asyncio.sleep(delay * random.uniform(0.5, 1.5))
                delay = min(2 * delay, 1.0)

    async def history(self):
        stored = Counter()
        for channel in self.channels:
            after = None
            while True:
                page = await self.until_done(
                    lambda channel=channel, after=after: self.broker.read(
                        channel, after, 500
                    )
                )
                stored.update(int(entry.event.data) for entry in page.entries)
                if not page.entries:
                    break
                after = page.entries[-1].position
        return stored

    def report(self, kinds):
        lost = [n for n in self.acknowledged if n not in self.stored]
        by_kind = Counter(kinds[self.acknowledged[n]] for n in lost)
        undelivered = [
            n for n in self.acknowledged if n in self.stored and n not in self.listener.seen
        ]
        print(
            f"replicas={self.replicas}: {len(self.acknowledged)} acknowledged,"
            f" {len(lost)} of them lost {dict(by_kind)},"
            f" {sum(n > 1 for n in self.stored.values())} stored twice,"
            f" {len(undelivered)} stored and not delivered,"
            f" {sum(n > 1 for n in self.listener.seen.values())} delivered twice,"
            f" {len(set(self.listener.seen) - set(self.stored))} seen and gone,"
            f" {self.listener.gaps} gap events, {self.unfinished} unfinished,"
            f" longest wait {self.longest:.1f} s"
        )
        for text, count in self.errors.most_common(6):
            print(f"    {count} x {text}")


async def measure(url, replicas):
    """Print how long a publish takes, how late its event arrives, and how many fit in a second."""
    arrived, late = {}, []

    class Ear(Listener):
        def on_entries(self, entries):
            for entry in entries:
                arrived[entry.event.data] = time.perf_counter()

    address = f"{url}?replicas={replicas}&prefix=m{replicas}:"
    ear, broker = open_broker(address, RETENTION), open_broker(address, RETENTION)
    await ear.open(Ear())
    await broker.open(Listener())
    await ear.listen("a")
    took = []
    for n in range(500):
        began = time.perf_counter()
        await broker.append("a", Event(str(n)))
        took.append(time.perf_counter() - began)
        while str(n) not in arrived:
            await asyncio.sleep(0)
        late.append(arrived[str(n)] - began)
    began = time.perf_counter()
    await asyncio.gather(*(broker.append("b", Event(str(n))) for n in range(5000)))
    rate = 5000 / (time.perf_counter() - began)
    await broker.close()
    await ear.close()
    print(
        f"replicas={replicas}: a publish takes {1000 * statistics.median(took):.2f} ms,"
        f" its event arrives after {1000 * statistics.median(late):.2f} ms,"
        f" {rate:.0f} a second at the same time"
    )


class Sentinels:
    """A primary, two replicas and three Sentinels."""

    kinds = ("planned", "kill", "pause", "replica")

    def __init__(self, folder, replicas, chance):
        self.chance = chance
        self.watched = Watched(folder, replicas=replicas, min_replicas=1)
        for server in self.watched.servers:
            server.set("appendfsync", "everysec")
        self.url, self.count = self.watched.url, replicas
        self.kill_all = self.watched.kill

    def planned(self):
        before = self.watched.primary()
        while self.watched.primary() is before:
            sentinel = self.chance.choice(self.watched.sentinels)
            # One is in progress, or the Sentinel sees no good replica.
            with sentinel.client() as client, contextlib.suppress(redis.ResponseError):
                client.execute_command("SENTINEL FAILOVER main")
            # A Sentinel that was held up for two seconds does nothing for thirty.
            with contextlib.suppress(AssertionError):
                wait_for(lambda: self.watched.primary() is not before, 5)

    def kill(self):
        before = self.watched.primary()
        before.kill()
        wait_for(lambda: self.watched.primary() is not before)
        time.sleep(self.chance.random())
        before.options = (
            *self.watched.options, "--repl-diskless-sync-delay", "0",
            "--replicaof", f"127.0.0.1 {self.watched.primary().port}",
        )  # fmt: skip
        before.start()

    def pause(self):
        before = self.watched.primary()
        before.pause()
        try:
            wait_for(lambda: self.watched.primary() is not before)
            time.sleep(self.chance.random())
        finally:
            before.go_on()

    def replica(self):
        primary = self.watched.primary()
        server = self.chance.choice([s for s in self.watched.servers if s is not primary])
        server.kill()
        time.sleep(1 + 2 * self.chance.random())
        server.options = (
            *self.watched.options, "--repl-diskless-sync-delay", "0",
            "--replicaof", f"127.0.0.1 {self.watched.primary().port}",
        )  # fmt: skip
        server.start()

    def is_well(self):
        primary = self.watched.primary()
        for sentinel in self.watched.sentinels:
            with sentinel.client() as client:
                state = client.sentinel_master("main")
                if int(state["port"]) != primary.port or "failover" in state["flags"]:
                    return False
                up = [
                    one
                    for one in client.sentinel_slaves("main")
                    if one["flags"] == "slave" or one["flags"] == {"slave"}
                ]
                if len(up) < self.count:
                    return False
        with primary.client() as client:
            return is_followed(client.info("replication"), self.count)


class Shards:
    """A cluster of three primaries."""

    kinds = KINDS

    def __init__(self, folder, replicas, chance):
        self.chance = chance
        self.cluster = Cluster(folder, replicas=replicas)
        for server in self.cluster.servers:
            # A replica must not move to a primary that has lost its own.
            server.set("cluster-allow-replica-migration", "no")
            server.set("min-replicas-to-write", 1)
            server.set("appendfsync", "everysec")
        self.url, self.count = self.cluster.url, replicas
        self.kill_all = self.cluster.kill

    def replicas_of(self, primary):
        with primary.client() as client:
            ports = {int(port) for _, port, _ in client.role()[2]}
        return [one for one in self.cluster.servers if one.port in ports]

    def shard(self):
        primary = self.chance.choice(self.cluster.primaries())
        return primary, self.chance.choice(self.replicas_of(primary))

    def is_primary(self, server):
        with server.client() as client:
            return client.role()[0] == "master"

    def planned(self, *how):
        _, replica = self.shard()
        while not self.is_primary(replica):
            # It gives up where it was not elected within five seconds.
            with replica.client() as client, contextlib.suppress(redis.ResponseError):
                client.execute_command("CLUSTER FAILOVER", *how)
            with contextlib.suppress(AssertionError):
                wait_for(lambda: self.is_primary(replica), 6)

    def forced(self):
        self.planned(self.chance.choice(["FORCE", "TAKEOVER"]))

    def kill(self):
        primary, _ = self.shard()
        primary.kill()
        try:
            wait_for(lambda: len(self.cluster.primaries()) == 3)
            time.sleep(self.chance.random())
        finally:
            primary.start()

    def pause(self):
        primary, _ = self.shard()
        replicas = self.replicas_of(primary)
        primary.pause()
        try:
            wait_for(lambda: any(self.is_primary(one) for one in replicas))
            time.sleep(self.chance.random())
        finally:
            primary.go_on()

    def replica(self):
        _, replica = self.shard()
        replica.kill()
        time.sleep(1 + 2 * self.chance.random())
        replica.start()

    def is_well(self):
        primaries = self.cluster.primaries()
        for primary in primaries:
            with primary.client() as client:
                if client.cluster("INFO")["cluster_state"] != "ok":
                    return False
                if not is_followed(client.info("replication"), self.count):
                    return False
        return len(primaries) == 3


def is_followed(info, count):
    followers = [info.get(f"slave{n}") for n in range(count)]
    return info["role"] == "master" and all(
        one
        and one["state"] == "online"
        and info["master_repl_offset"] - one["offset"] < 100_000
        for one in followers
    )


async def rounds(setup, kinds, current, done, options, chance):
    ends = time.monotonic() + 60 * options.minutes
    for number in range(1, options.rounds + 1):
        if time.monotonic() > ends:
            break
        kind = chance.choice(kinds)
        await asyncio.sleep(CALM_SECONDS * chance.random())
        current[0] = number
        done[number] = kind
        began = time.monotonic()
        try:
            await asyncio.to_thread(getattr(setup, kind))
        except (AssertionError, ValueError, redis.RedisError) as error:
            # It has not happened, or only half of it.
            print(f"{number}: {kind}: {error!r}", flush=True)
        took = time.monotonic() - began
        # Two primaries may be left until then. What one of them has is no history to compare.
        await asyncio.to_thread(wait_for, setup.is_well, WELL_SECONDS)
        print(
            f"{number}: {kind}, {took:.1f} s, well after {time.monotonic() - began:.1f} s",
            flush=True,
        )
    await asyncio.sleep(CALM_SECONDS)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=1000)
    parser.add_argument("--rate", type=float, default=30)
    parser.add_argument(
        "--replicas", default="0,1,2,all", help="settings that are compared"
    )
    parser.add_argument("--kinds", default="", help="of rounds, with commas in between")
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--servers", type=int, default=2, help="replicas of each primary")
    parser.add_argument("--channels", type=int, default=6)
    parser.add_argument(
        "--cost", action="store_true", help="measure publishes, and no failovers"
    )
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(2**32)
    print("seed", seed, flush=True)
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        setup = (Shards if options.cluster else Sentinels)(
            Path(folder) / "redis", options.servers, chance
        )
        try:
            if options.cost:
                for replicas in options.replicas.split(","):
                    await measure(setup.url, replicas)
                return
            kinds = options.kinds.split(",") if options.kinds else setup.kinds
            current, done, stopping = [0], {0: "before"}, asyncio.Event()
            publishers = [
                Publisher(setup.url, replicas, options.rate, options.channels)
                for replicas in options.replicas.split(",")
            ]
            tasks = [asyncio.create_task(one.run(stopping, current)) for one in publishers]
            await asyncio.sleep(2)
            try:
                await rounds(setup, kinds, current, done, options, chance)
            finally:
                stopping.set()
            await asyncio.gather(*tasks)
        finally:
            setup.kill_all()
    print("rounds", dict(Counter(kind for kind in done.values() if kind != "before")))
    for one in publishers:
        one.report(done)


if __name__ == "__main__":
    asyncio.run(main())
