"""What the scripts do inside Redis: repeated appends, and a Redis that takes no writes."""

import time

import pytest
from on_redis import fill, opened

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import ManualClock
from heliograph.brokers.values import Attempt


async def test_a_repeated_append_gives_the_first_entry(server):
    """As long as it is held; afterwards it is another one."""
    async with opened(server.url) as broker:
        attempt = Attempt()
        first = await broker.append("a", Event("x"), repeats=attempt)
        for _ in range(250):
            await broker.append("a", Event("between"))

        assert await broker.append("a", Event("x"), repeats=attempt) == first
        with server.client() as client:
            client.xdel("heliograph:{a}:events", "1-0")
        again = await broker.append("a", Event("x"), repeats=attempt)
        assert again.position.offset == 252


@pytest.mark.parametrize("skew", [-7200, 7200])
async def test_a_repeated_append_is_found_whatever_time_it_is(server, monkeypatch, skew):
    """The clocks of a publisher and of Redis may be far apart."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + skew)
    async with opened(server.url) as broker, opened(server.url) as other:
        attempt = Attempt()
        first = await broker.append("a", Event("x"), repeats=attempt)
        await other.append("a", Event("between"))
        assert await broker.append("a", Event("x"), repeats=attempt) == first


async def test_a_repeated_append_passes_what_is_not_ours(server):
    """The search for a repeated append does not stop at an entry that somebody else added."""
    with server.client() as client:
        client.hset("heliograph:{a}:channel", mapping={"epoch": "e" * 11, "head": 0})
        forged = {"event": "{}", "at": "9999999999", "token": "t"}
        client.xadd("heliograph:{a}:events", forged, id="0-5")
        async with opened(server.url) as broker:
            for _ in range(99):
                await broker.append("a", Event("x"))
            attempt = Attempt()
            attempt.was_tried = True
            entry = await broker.append("a", Event("x"), repeats=attempt)
            assert entry.position.offset == 100


async def test_memory_is_full(own_server):
    """Publishes fail, with what Redis says; history is kept, and can be read."""
    async with opened(own_server.url) as broker:
        first = await broker.append("a", Event("x"))
        with own_server.client() as client:
            used = client.info("memory")["used_memory"]
        own_server.set("maxmemory", used + 300_000)

        with pytest.raises(BrokerUnavailableError, match="maxmemory"):
            for _ in range(200):
                await broker.append("a", Event("x" * 10_000))

        assert (await broker.read("a", None, 1)).entries == (first,)
        await broker.listen("a")
        own_server.set("maxmemory", 0)
        await broker.append("a", Event("x"))


async def test_who_reads_does_not_trim(server):
    """How long history is kept is said by who publishes."""
    short, clock = Retention(events=10, seconds=0.01), ManualClock()
    async with (
        opened(server.url, clock=clock) as broker,
        opened(server.url, None, short, clock=clock) as reader,
    ):
        entry = await broker.append("a", Event("x"))
        clock.now += 1

        assert (await reader.read("a", None, 9)).entries == (entry,)
        assert (await broker.read("a", None, 9)).entries == (entry,)


async def test_a_primary_that_takes_nothing(own_server):
    """With min-replicas-to-write and no replica, what is there can be read."""
    async with opened(own_server.url) as broker:
        entry = await broker.append("a", Event("x", id="1"))
        own_server.set("min-replicas-to-write", 1)

        with pytest.raises(BrokerUnavailableError, match="NOREPLICAS"):
            await broker.append("a", Event("x"))
        assert (await broker.read("a", None, 9)).entries == (entry,)
        assert await broker.listen("a") == entry.position
        with own_server.client() as client:
            # As if it had expired: its index of ids cannot be dropped here.
            own_server.set("min-replicas-to-write", 0)
            client.delete("heliograph:{a}:events")
            own_server.set("min-replicas-to-write", 1)
        assert (await broker.read("a", None, 9)).head == entry.position


async def test_a_hash_without_its_head(server):
    """Somebody has damaged a channel: it begins another life."""
    async with opened(server.url) as broker:
        entry = await broker.append("a", Event("x"))
        with server.client() as client:
            client.hdel("heliograph:{a}:channel", "head")

        again = await broker.append("a", Event("x"))

        assert again.position.offset == 1
        assert again.position.epoch != entry.position.epoch


async def test_reading_writes_nothing(server):
    """Nothing is sent to replicas or appended to the file, whatever is read."""
    async with opened(server.url) as broker:
        last = await fill(broker, 10, ids=True)
        await broker.read("never", None, 9)
        with server.client() as client:
            before = client.info("persistence")["aof_current_size"]
            assert before

            for name in ("a", "never"):
                for after in (None, last):
                    await broker.read(name, after, 9)
                await broker.find(name, "5")

            assert client.info("persistence")["aof_current_size"] == before
