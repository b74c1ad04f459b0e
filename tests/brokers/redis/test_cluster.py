"""Nodes of a cluster are lost, and slots move between them."""

import asyncio
import contextlib
import subprocess

import pytest
from contract import Ear
from on_redis import appended, opened

from heliograph import BrokerUnavailableError, Event
from redises import Cluster
from streams import until


@pytest.mark.timeout(240)
async def test_a_primary_of_a_cluster_is_lost(tmp_path):
    """Its replica takes over; channels on the other nodes do not notice."""
    cluster = Cluster(tmp_path / "cluster", replicas=1)
    ear = Ear()
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

            await ear.hear(24)

            assert [ear.offsets(name) for name in names] == [[1, 2]] * 12
            assert (ear.restarts, len(ear.renamed)) == ([], 12)
            await until(lambda: ear.connection[-1])
    finally:
        cluster.kill()


async def test_slots_move(tmp_path):
    """While events are published all slots of a node move to another."""
    cluster = Cluster(tmp_path / "cluster")
    ear = Ear()
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
            with cluster.servers[0].client() as client:
                me = client.execute_command("CLUSTER", "MYID")
            with cluster.servers[1].client() as client:
                other = client.execute_command("CLUSTER", "MYID")
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
                assert ear.offsets(name) == list(range(1, published[name] + 1))
    finally:
        cluster.kill()


async def test_a_node_of_a_cluster_is_lost(tmp_path):
    """Where full coverage is not required its channels wait, and others do not notice."""
    cluster = Cluster(tmp_path / "cluster")
    ear = Ear()
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
            await ear.hear(len(done))
            assert 0 < len(done) < len(names)
            assert not ear.connection[-1]

            cluster.servers[2].start()
            for name in names:
                await appended(broker, name, Event("back"))
            await ear.hear(len(done) + len(names))
            await until(lambda: ear.connection[-1])
    finally:
        cluster.kill()
