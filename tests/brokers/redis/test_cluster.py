"""Nodes of a cluster are lost, and slots move between them."""

import asyncio
import contextlib
import subprocess

import pytest
from on_redis import appended, opened
from redis.crc import key_slot

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.values import PLAIN, Terms
from redises import Cluster
from streams import until


@pytest.mark.timeout(240)
async def test_a_primary_of_a_cluster_is_lost(tmp_path):
    """Its replica takes over; channels on the other nodes do not notice."""
    cluster = Cluster(tmp_path / "cluster", replicas=1)
    ear = RecordingListener()
    names = [f"c{n}" for n in range(12)]
    try:
        async with opened(f"{cluster.url}?socket_timeout=1", ear) as here:
            for name in names:
                await here.listen(name)
                await here.append(name, Event("before"))
            primary = cluster.primaries()[0]
            assert primary.is_replicated()
            primary.kill()
            for name in names:
                await appended(here, name, Event("after"))

            await ear.wait_for_entries(24)

            assert [ear.offsets(name) for name in names] == [[1, 2]] * 12
            assert (ear.restarts, len(ear.renamed)) == ([], 12)
            await until(lambda: ear.connection[-1])
    finally:
        cluster.kill()


def redirections(cluster, kind):
    """Return how often nodes have answered with an error: ASK, MOVED or TRYAGAIN."""
    total = 0
    for server in cluster.servers:
        with server.client() as client:
            errors = client.info("errorstats")
        total += errors.get(f"errorstat_{kind}", {"count": 0})["count"]
    return total


def owner_of(cluster, slot):
    """Return the server that has a slot, and another one."""
    with cluster.servers[0].client() as client:
        ranges = client.execute_command("CLUSTER SLOTS")
    (port,) = (one[2][1] for one in ranges if one[0] <= slot <= one[1])
    (owner,) = (server for server in cluster.servers if server.port == port)
    return owner, next(server for server in cluster.servers if server is not owner)


def node_id(server):
    with server.client() as client:
        return client.execute_command("CLUSTER MYID")


# What is published first, and the keys that the channel then has.
KEYS = {
    "plain": (PLAIN, ["channel", "events"]),
    "once": (Terms(idempotency_key="o"), ["channel", "events", "keys"]),
    "retained": (Terms(retain_as="k"), ["channel", "events", "keys", "retained"]),
}


@pytest.mark.parametrize(("terms", "parts"), KEYS.values(), ids=KEYS.keys())
async def test_a_slot_moves_step_by_step(cluster, terms, parts):
    """Calls follow each redirection, and what is published meanwhile is handed on."""
    cluster.flush()
    keys = [f"heliograph:{{a}}:{part}" for part in parts]
    before = {kind: redirections(cluster, kind) for kind in ("ASK", "TRYAGAIN", "MOVED")}

    def redirected(kind):
        return redirections(cluster, kind) - before[kind]

    slot, ear = key_slot(keys[0].encode()), RecordingListener()
    source, target = owner_of(cluster, slot)

    def migrate(key):
        with source.client() as client:
            client.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)

    def set_slot(server, *words):
        with server.client() as client:
            client.execute_command("CLUSTER", "SETSLOT", slot, *words)

    async with opened(cluster.url, ear) as here, opened(cluster.url) as there:
        await here.listen("a")
        await there.append("a", Event("before"), terms=terms)
        await ear.wait_for_entries(1)
        set_slot(target, "IMPORTING", node_id(source))
        set_slot(source, "MIGRATING", node_id(target))
        async with opened(cluster.url) as new:
            # One that does not know yet which keys there are.
            await new.append("a", Event("all keys are where they were"))
            await new.read("a", None, 9)
        assert redirected("ASK") == redirected("TRYAGAIN") == 0

        migrate(keys[-1])
        waiting = asyncio.create_task(appended(there, "a", Event("no node has all")))
        await until(lambda: redirected("TRYAGAIN"))
        for key in keys[:-1]:
            migrate(key)
        await waiting
        assert redirected("ASK")
        assert not redirected("MOVED")

        for server in (target, source):
            set_slot(server, "NODE", node_id(target))
        last = await appended(there, "a", Event("moved"))

        assert redirected("MOVED")
        assert last.position.offset == 4
        await ear.wait_for_entries(4)
        assert ear.offsets("a") == [1, 2, 3, 4]
        kept = (await there.retained("a", 0, 9)).entries
        assert len(kept) == (terms.retain_as is not None)
        assert (ear.restarts, len(ear.renamed)) == ([], 1)


async def test_slots_move(tmp_path):
    """While events are published all slots of a node move to another."""
    cluster = Cluster(tmp_path / "cluster")
    ear = RecordingListener()
    names = [f"c{n}" for n in range(12)]
    try:
        async with opened(cluster.url, ear) as here, opened(cluster.url) as there:
            for name in names:
                await here.listen(name)
            stop, published = asyncio.Event(), dict.fromkeys(names, 0)

            async def publish():
                while not stop.is_set():
                    for name in names:
                        await appended(there, name, Event("x"))
                        published[name] += 1

            publishing = asyncio.create_task(publish())
            me, other = (node_id(server) for server in cluster.servers[:2])
            # Each primary has some of the channels, or nothing would move.
            assert len(here._routing.topology.nodes) == 3
            process = await asyncio.create_subprocess_exec(
                "redis-cli", "--cluster", "reshard", f"127.0.0.1:{cluster.servers[0].port}",
                "--cluster-from", me, "--cluster-to", other, "--cluster-slots", "5461",
                "--cluster-yes", "--cluster-pipeline", "100",
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
            assert await process.wait() == 0
            stop.set()
            await publishing

            await until(lambda: len(ear.entries) == sum(published.values()))
            for name in names:
                assert published[name]
                assert ear.offsets(name) == list(range(1, published[name] + 1))
            assert redirections(cluster, "MOVED")
            # Slots without a channel may have moved last, which nobody is told.
            here._routing.on_moved()
            await until(lambda: len(here._routing.topology.nodes) == 2)
    finally:
        cluster.kill()


async def test_a_node_of_a_cluster_is_lost(tmp_path):
    """Where full coverage is not required its channels wait, and others do not notice."""
    cluster = Cluster(tmp_path / "cluster")
    ear = RecordingListener()
    names = [f"c{n}" for n in range(12)]
    try:
        for server in cluster.servers:
            server.set("cluster-require-full-coverage", "no")
        async with opened(f"{cluster.url}?socket_timeout=1", ear) as broker:
            for name in names:
                await broker.listen(name)
            cluster.servers[2].kill()
            done = {}
            for name in names:
                with contextlib.suppress(BrokerUnavailableError):
                    done[name] = await broker.append(name, Event("x"))
            await ear.wait_for_entries(len(done))
            assert 0 < len(done) < len(names)
            assert not ear.connection[-1]

            cluster.servers[2].start()
            for name in names:
                await appended(broker, name, Event("back"))
            await ear.wait_for_entries(len(done) + len(names))
            await until(lambda: ear.connection[-1])
    finally:
        cluster.kill()
