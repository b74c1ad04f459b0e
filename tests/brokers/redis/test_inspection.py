"""Redis is inspected with commands that only read, each of them short."""

from dataclasses import replace

import pytest
import redis
from on_redis import opened

from heliograph import BrokerUnavailableError, ConfigError, Event
from heliograph.brokers import Terms, inspect_broker
from heliograph.brokers.redis import inspection
from servers import free_port

# Commands that change nothing, and do not look at all keys at once.
READING = {
    "client|no-touch",
    "client|setname",
    "cluster|slots",
    "hello",
    "hmget",
    "info",
    "memory|usage",
    "ping",
    "pubsub|numsub",
    "pubsub|shardnumsub",
    "scan",
    "select",
    "xlen",
    "xrange",
    "xrevrange",
    "zcount",
}


async def look_at_all(url):
    async with inspect_broker(url) as storage:
        listed = [summary async for summary in storage.channels()]
        for summary in listed:
            again = await storage.channel(summary.name)
            # Redis's measure is an estimate, and may be another one the next time.
            assert replace(again, size_bytes=summary.size_bytes) == summary
            await storage.newest(summary.name, 99)
        await storage.channel("none")
        await storage.processes()
    return {summary.name: summary for summary in listed}


async def fill(url):
    async with opened(url) as broker:
        for name in ("a", "b"):
            await broker.append(name, Event("x", id="own"), terms=Terms(retain_as="k"))
        await broker.append("c", Event("x"), terms=Terms(idempotency_key="k"))
        await broker.append("d", Event("x"))


def state(server):
    """All keys with their contents, and when they expire; without those of the checks."""

    def content(key):
        # Redis orders the fields of a hash anew when it likes.
        return client.hgetall(key) if client.type(key) == b"hash" else client.dump(key)

    with redis.Redis(port=server.port, socket_timeout=60) as client:
        return {
            key: (content(key), client.expiretime(key))
            for key in client.scan_iter()
            if b"heliograph.check" not in key
        }


def called(servers):
    commands = set()
    for server in servers:
        with server.client() as client:
            stats = client.info("commandstats")
        commands |= {name.removeprefix("cmdstat_") for name in stats}
    return commands


def reset(servers):
    for server in servers:
        with server.client() as client:
            client.config_resetstat()


@pytest.fixture
def clean_cluster(cluster):
    cluster.flush()
    return cluster


async def expect_only_reading(url, servers):
    await fill(url)
    before = [state(server) for server in servers]
    assert sum(map(len, before)) >= 4 * 2
    reset(servers)

    assert sorted(await look_at_all(url)) == ["a", "b", "c", "d"]

    assert called(servers) - {"config|resetstat"} <= READING
    assert [state(server) for server in servers] == before


async def test_only_reading(server):
    """Keys keep their contents and the time at which they expire."""
    await expect_only_reading(server.url, [server])


async def test_only_reading_in_a_cluster(clean_cluster):
    """On each of its nodes."""
    await expect_only_reading(clean_cluster.url, clean_cluster.servers)


async def test_many_channels(server, monkeypatch):
    """More than are sorted at once, among keys of others and channels of other prefixes."""
    monkeypatch.setattr(inspection, "_KEYS_AT_ONCE", 10)
    monkeypatch.setattr(inspection, "_NAMES_AT_ONCE", 50)
    names = {f"c{n}" for n in range(130)}
    async with opened(server.url) as broker:
        for name in names:
            await broker.append(name, Event("x"))
    # As a pattern it would match something else.
    await fill(f"{server.url}/?prefix=o%5Bt%5Dher:")
    with server.client() as client:
        client.mset({f"key:{n}": "x" for n in range(500)})
        client.hset("heliograph:{%ff}:channel", "epoch", "x")
        client.hset("heliograph:{c/}:channel", "epoch", "x")

    assert set(await look_at_all(server.url)) == names
    assert set(await look_at_all(f"{server.url}/?prefix=o%5Bt%5Dher:")) == {*"abcd"}


# What somebody else may do to the keys of a channel -> whether it is still listed.
DAMAGE = [
    (lambda client, keys: client.hset(keys.row, "epoch", "-"), False),
    (lambda client, keys: client.hset(keys.row, "head", "word"), False),
    (lambda client, keys: client.hdel(keys.row, "head"), False),
    (lambda client, keys: client.set(keys.row, "x"), False),
    (lambda client, keys: client.hset(keys.row, "state", "x"), True),
    (lambda client, keys: client.hset(keys.row, "shown", "x"), True),
    (lambda client, keys: client.set(keys.events, "x"), True),
    (lambda client, keys: client.delete(keys.events), True),
    (lambda client, keys: client.set(keys.keys, "x"), True),
    (lambda client, keys: client.xadd(keys.events, {"x": "y"}), True),
]


@pytest.mark.parametrize(("damage", "is_listed"), DAMAGE)
async def test_damage(server, damage, is_listed, caplog):
    """A damaged channel is skipped and logged, and one that can still be counted is not."""
    await fill(server.url)
    async with opened(server.url) as broker:
        keys = broker._names.keys("b")
    with server.client() as client:
        damage(client, keys)

    assert set(await look_at_all(server.url)) == {*("abcd" if is_listed else "acd")}
    assert ("channel 'b': skipped its damaged row" in caplog.text) != is_listed


async def test_a_row_without_events(server):
    """A first event that was refused leaves one; another one is expiring right now."""
    await fill(server.url)
    async with opened(server.url) as broker:
        with server.client() as client:
            client.hset(broker._names.keys("b").row, "head", "0")
            client.delete(broker._names.keys("c").row)
            client.hset(broker._names.keys("c").row, "at", "1")

    assert set(await look_at_all(server.url)) == {*"ad"}


async def test_an_event_that_is_not_announced(server):
    """Readers do not get it, so it is not there yet."""
    async with opened(server.url) as broker:
        for _ in range(3):
            await broker.append("a", Event("x"))
        with server.client() as client:
            client.hset(broker._names.keys("a").row, "shown", "2")

        async with broker.inspect() as storage:
            summary = await storage.channel("a")
            newest = await storage.newest("a", 9)

    assert (summary.head.offset, summary.events) == (2, 2)
    assert [entry.position.offset for entry in newest] == [1, 2]


async def test_rights_that_are_not_needed(own_server):
    """What they would tell is unknown."""
    await fill(own_server.url)
    with own_server.client() as client:
        # All but the first are those that publishing needs.
        rights = ["+scan", "+ping", "+hmget", "+xlen", "+xrange", "+xrevrange", "+zcount"]
        client.acl_setuser(
            "some", enabled=True, passwords="+x", keys="heliograph:*", commands=rights
        )

    async with inspect_broker(f"redis://some:x@127.0.0.1:{own_server.port}") as storage:
        summary = await storage.channel("a")
        assert await storage.processes() is None
        assert len(await storage.newest("a", 9)) == 1
        assert len([one async for one in storage.channels()]) == 4

    assert (summary.events, summary.retained) == (1, 1)
    assert (summary.size_bytes, summary.listeners) == (None, None)


async def test_refused(own_server, cluster):
    """What will not pass is a mistake in the URL or in the rights."""
    await fill(own_server.url)
    with own_server.client() as client:
        client.acl_setuser(
            "some", enabled=True, passwords="+x", keys="*", commands=["+@all", "-scan"]
        )
    port, node = own_server.port, cluster.servers[0].port
    for url, words in [
        (f"redis://some:secret@127.0.0.1:{port}", "user or the password is refused"),
        (f"redis://some:x@127.0.0.1:{port}", "lacks a right.*scan"),
        (f"redis+cluster://127.0.0.1:{port}", "write redis:// instead"),
        (f"redis://127.0.0.1:{node}", r"write redis\+cluster:// instead"),
        (f"redis://127.0.0.1:{port}/99", "there is no such database"),
    ]:
        with pytest.raises(ConfigError, match=words) as caught:
            await look_at_all(url)
        assert "secret" not in str(caught.value)


async def test_nobody_there():
    """That may pass."""
    for scheme in ("redis", "redis+cluster", "redis+sentinel"):
        path = "/service" if "sentinel" in scheme else ""
        with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1"):
            await look_at_all(f"{scheme}://127.0.0.1:{free_port()}{path}")


async def test_a_slot_that_moves(clean_cluster):
    """The list would be wrong, so the cluster's own words are reported."""
    await fill(clean_cluster.url)
    async with inspect_broker(clean_cluster.url) as storage:
        client = storage._servers.of(storage._names.keys("a").row)
        wrong = next(one for one in storage._servers.clients if one is not client)
        storage._servers = storage._servers._replace(clients=[wrong], owners={})

        with pytest.raises(BrokerUnavailableError, match="is being rearranged"):
            await storage.channel("a")
