"""Channels without an event share a life, and asking for them stores nothing (``lua/``)."""

import asyncio
from urllib.parse import quote

import pytest
from on_redis import RETENTION, WEEK, opened
from redis.crc import key_slot

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers.contract import ManualClock, RecordingListener
from heliograph.brokers.redis import Address, RedisBroker
from heliograph.channels.position import Position
from redises import RedisServer
from streams import until

NAMES = [f"never {n}" for n in range(3_000)]


async def ask_for_all(broker, names):
    """Read, search and listen, as streams of channels do that nobody publishes to."""
    for first in range(0, len(names), 100):
        some = names[first : first + 100]
        await asyncio.gather(*(broker.listen(name) for name in some))
        await asyncio.gather(*(broker.read(name, None, 1) for name in some))
        await asyncio.gather(*(broker.read(name, Position("x", 5), 1) for name in some))
        await asyncio.gather(*(broker.find(name, "x") for name in some))
        for name in some:
            broker.unlisten(name)


async def test_asking_stores_nothing(tmp_path):
    """Whatever channels clients ask for, Redis holds no key of them, and publishing works."""
    server = RedisServer(tmp_path, "--maxmemory-policy", "noeviction")
    try:
        async with opened(server.url) as broker:
            await broker.append("a", Event("x"))
            with server.client() as client:
                keys = set(client.scan_iter())
                server.set("maxmemory", client.info("memory")["used_memory"] + 1_000_000)

            await ask_for_all(broker, NAMES)

            with server.client() as client:
                assert set(client.scan_iter()) <= keys
            await broker.append("a", Event("x" * 10_000))
            await broker.append(NAMES[0], Event("x"))
            # What is known of channels is not pushed out by what clients ask for.
            assert set(broker._storage.seen.channels) == {"a", NAMES[0]}
    finally:
        server.kill()


async def test_asking_stores_nothing_in_a_cluster(cluster):
    """There it is one small key for each slot, at most."""
    # Fewer: each contradicts what is known, so the primary is looked up.
    names = NAMES[:300]
    cluster.flush()
    async with opened(cluster.url) as broker:
        await ask_for_all(broker, names)
        await ask_for_all(broker, names)
        keys = set()
        for server in cluster.servers:
            with server.client() as client:
                keys |= set(client.scan_iter())

    slots = {key_slot(f"{{{quote(name)}}}".encode()) for name in names}
    common = {key for key in keys if key.endswith(":epoch")}
    assert len(common) <= len(slots) + 2  # and those of the tries at the start
    assert {key for key in keys - common if "heliograph.check" not in key} == set()
    assert {key_slot(key.encode()) for key in common} >= slots


async def test_positions_before_the_first_event(server):
    """They hold for as long as no row can have come and gone without a trace."""
    clock = ManualClock()
    broker = RedisBroker(Address.parse(server.url), RETENTION, clock=clock)
    await broker.open(RecordingListener())
    start = (await broker.read("a", None, 0)).head
    for _ in range(3):
        clock.now += WEEK
        history = await broker.read("a", start, 9)
        assert (history.gap, history.head.offset) == (None, 0)
        assert history.start == history.head != start
    entry = await broker.append("a", Event("x"))
    history = await broker.read("a", start, 9)
    assert (history.gap, history.entries) == (None, (entry,))
    with server.client() as client:
        assert client.ttl("heliograph:{a}:channel") > 4 * WEEK
        # As if it had expired.
        client.delete("heliograph:{a}:channel", "heliograph:{a}:events")

    clock.now += WEEK
    assert (await broker.read("a", start, 9)).gap == "epoch"
    await broker.append("a", Event("y"))
    assert (await broker.read("a", start, 9)).gap == "epoch"
    await broker.close()


@pytest.mark.parametrize(
    "command",
    ["FLUSHALL", "DEL heliograph:{a}:channel", "HDEL heliograph:{a}:channel epoch"],
)
async def test_positions_before_the_first_event_after_a_loss(server, command):
    """Who has seen nothing is told, too, that something is gone."""
    async with opened(server.url) as broker:
        start = await broker.listen("a")
        await broker.append("a", Event("lost"))
        with server.client() as client:
            client.execute_command(*command.split())

        entry = await broker.append("a", Event("x"))

        history = await broker.read("a", start, 9)
        assert (history.gap, history.entries) == ("epoch", (entry,))


# What makes Redis take no writes, and what undoes it. Add a row, not a test.
NO_WRITES = {
    "no-memory": (["CONFIG SET maxmemory 1"], ["CONFIG SET maxmemory 0"]),
    "replica": (["REPLICAOF 127.0.0.1 1"], ["REPLICAOF NO ONE"]),
    "no-replicas": (
        ["CONFIG SET min-replicas-to-write 1"],
        ["CONFIG SET min-replicas-to-write 0"],
    ),
    "disk": (
        ["CONFIG SET save 3600_1", "CONFIG SET dir /proc", "BGSAVE"],
        ["CONFIG SET dir {folder}", "CONFIG SET save {}"],
    ),
}


@pytest.mark.parametrize(("begin", "end"), NO_WRITES.values(), ids=NO_WRITES.keys())
async def test_quiet_channels_where_nothing_can_be_written(tmp_path, begin, end):
    """They can be read and listened to, with one position as long as that lasts."""
    server = RedisServer(tmp_path, "--enable-protected-configs", "yes")

    def run(commands):
        with server.client() as client:
            for command in commands:
                words = [
                    {"{folder}": str(tmp_path), "{}": ""}.get(word, word.replace("_", " "))
                    for word in command.split()
                ]
                client.execute_command(*words)

    try:
        ear = RecordingListener()
        async with opened(server.url, ear) as broker:
            with server.client() as client:
                client.delete("heliograph:epoch")
            run(begin)
            if "BGSAVE" in begin:
                with server.client() as client:
                    await until(
                        lambda: (
                            client.info("persistence")["rdb_last_bgsave_status"] == "err"
                        )
                    )
            start = await broker.listen("a")
            assert start.offset == 0
            history = await broker.read("a", start, 9)
            assert (history.gap, history.head) == (None, start)
            assert await broker.find("a", "x") is None
            with pytest.raises(BrokerUnavailableError):
                await broker.append("a", Event("x"))

            run(end)

            entry = await broker.append("a", Event("x"))
            assert await ear.wait_for_entries(1) == [entry]
    finally:
        server.kill()


async def test_a_key_of_another_type(server):
    """The key of the common life is replaced, whatever type somebody has given it."""
    async with opened(server.url) as broker:
        for command in ("LPUSH heliograph:epoch x", "XADD heliograph:epoch * x y"):
            with server.client() as client:
                client.delete("heliograph:epoch")
                client.execute_command(*command.split())

            head = (await broker.read("a", None, 0)).head

            assert head == (await broker.read("b", None, 0)).head


async def test_a_key_that_somebody_has_damaged(server):
    """A value of the common key that is no name is replaced."""
    async with opened(server.url) as broker:
        before = (await broker.read("a", None, 0)).head
        for value in ("", "a b", "x" * 100, b"\xff"):
            with server.client() as client:
                client.set("heliograph:epoch", value)

            history = await broker.read("a", before, 0)

            assert history.gap == "epoch"
            assert history.head == (await broker.read("b", None, 0)).head
