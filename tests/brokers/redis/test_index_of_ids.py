"""Ids of the publisher's own are found by an index that never outgrows history (``lua/``)."""

import asyncio

import pytest
from on_redis import RETENTION, WEEK, commands_counter, fill, opened

from heliograph import Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import ManualClock, RecordingListener
from heliograph.brokers.redis import Address, RedisBroker
from heliograph.channels.position import Position


def index_of(client):
    """Return the fields of the index of ids of channel ``a``."""
    return [name for name in client.hkeys("heliograph:{a}:channel") if name[0] in "=<"]


async def test_a_channel_that_falls_silent(server):
    """Its history ends when it is too old; what says where it is stays for a month, alone."""
    row, stream = "heliograph:{a}:channel", "heliograph:{a}:events"
    retention = Retention(events=9, seconds=300)
    async with opened(server.url, None, retention) as broker:
        first = (await broker.append("a", Event("x", id="1"))).position
        last = (await broker.append("a", Event("x", id="2"))).position
        with server.client() as client:
            assert 290 <= client.ttl(stream) <= 301
            assert client.ttl(row) > 4 * WEEK
            client.delete(stream)  # as if it had expired

            behind = await broker.read("a", first, 9)
            at_head = await broker.read("a", last, 9)

            assert (behind.gap, behind.start, at_head.gap) == ("trimmed", last, None)
            assert await broker.find("a", "2") is None
            assert index_of(client) == []
            assert client.ttl(row) > 4 * WEEK
        entry = await broker.append("a", Event("x", id="2"))
        assert entry.position == Position(last.epoch, 3)
        assert await broker.find("a", "2") == entry.position


async def test_find_with_less_history(server):
    """Who keeps less than those before him trims the ids, too."""
    fewer = Retention(events=120, seconds=86_400)
    async with opened(server.url) as broker, opened(server.url, None, fewer) as other:
        for n in range(250):
            await broker.append("a", Event("x", id=str(n % 125)))
        assert await other.find("a", "124") is None

        last = await other.append("a", Event("x"))

        assert last.position.offset == 251
        assert await other.find("a", "124") == Position(last.position.epoch, 250)
        assert await other.find("a", "0") is None
        with server.client() as client:
            assert len(index_of(client)) == 119


REMOVALS = {
    "deleted": "DEL heliograph:{a}:events",
    "trimmed": "XTRIM heliograph:{a}:events MAXLEN = 20",
    "no-id-field": "HSET heliograph:{a}:channel ids word",
}


@pytest.mark.parametrize("command", REMOVALS.values(), ids=REMOVALS.keys())
async def test_the_index_after_removals(server, command):
    """It outgrows history by little, and never takes an id for unique that may not be."""
    key = "heliograph:{a}:events"
    async with opened(server.url) as broker:
        await fill(broker, 300, ids=True)
        with server.client() as client:
            client.execute_command(*command.split())

            again = await broker.append("a", Event("x", id="290"))

            assert index_of(client) == ["=290"]
            held = client.xlen(key)
            assert await broker.find("a", "290") == (again.position if held == 1 else None)
            new = await broker.append("a", Event("x", id="new"))
            assert (await broker.read("a", again.position, 9)).entries == (new,)
            client.xtrim(key, maxlen=2, approximate=False)
            assert await broker.find("a", "290") == again.position
            assert await broker.find("a", "new") == new.position
            assert client.ttl("heliograph:{a}:channel") > 4 * WEEK


async def test_the_index_is_bounded(server):
    """However often others trim, as an older release does during an upgrade."""
    async with opened(server.url) as broker:
        with server.client() as client:
            for part in range(5):
                for n in range(150):
                    await broker.append("a", Event("x", id=f"{part}-{n}"))
                client.xtrim("heliograph:{a}:events", maxlen=10, approximate=False)

            await broker.append("a", Event("x"))

            assert len(index_of(client)) <= 110


@pytest.mark.parametrize("right", ["+@all", "-xtrim"], ids=["any", "no-XTRIM-MINID"])
@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no-ids"])
@pytest.mark.parametrize("what", ["read", "find", "append"])
async def test_much_that_is_too_old(server, what, ids, right):
    """It is gone at once for who reads, and removed by many calls: none of them is long."""
    clock, cost_of = ManualClock(), commands_counter(server)
    broker = RedisBroker(Address.parse(server.url), RETENTION, clock=clock)
    await broker.open(RecordingListener())
    with server.client() as client:
        last = await fill(broker, 900, ids=ids)
        clock.now += RETENTION.seconds / 2
        young = await broker.append("a", Event("young", id="young" if ids else None))
        clock.now += RETENTION.seconds / 2 + 1
        client.execute_command("ACL", "SETUSER", "default", right)
        calls = {
            "read": lambda: broker.read("a", last, 9),
            "find": lambda: broker.find("a", "3"),
            "append": lambda: broker.append("a", Event("x")),
        }
        try:
            assert await cost_of(broker, calls[what]) < 100
            history = await broker.read("a", None, 9)
            assert (history.start.offset, history.entries[0]) == (900, young)
            assert (await broker.read("a", last, 9)).gap is None
            assert await broker.find("a", "899") is None
            assert await broker.find("a", "young") == (young.position if ids else None)
            for _ in range(5):
                await calls[what]()
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+@all")
        assert client.xinfo_stream("heliograph:{a}:events")["first-entry"][0] == "901-0"
        assert index_of(client) == (["=young"] if ids else [])
    await broker.close()


async def test_much_less_history(server):
    """Who keeps much less than those before him removes what is too much by and by."""
    fewer, cost_of = Retention(events=100, seconds=86_400), commands_counter(server)
    async with opened(server.url) as broker, opened(server.url, None, fewer) as other:
        await fill(broker, 900, ids=True)

        assert await cost_of(other, lambda: other.append("a", Event("x"))) < 100
        await fill(other, 5, ids=True)

        with server.client() as client:
            assert client.xlen("heliograph:{a}:events") == 100
            assert len(index_of(client)) == 99


async def test_find_sends_no_history(server):
    """What Redis sends for an id that is not there is an answer, whatever it holds."""
    async with opened(server.url, None, Retention(events=10_000, seconds=1000)) as broker:
        events = [Event("x" * 100, id=str(n)) for n in range(10_000)]
        await asyncio.gather(*(broker.append("a", event) for event in events))
        with server.client() as client:
            before = client.info("stats")["total_net_output_bytes"]
            assert await broker.find("a", "never") is None
            after = client.info("stats")["total_net_output_bytes"]
            shown = len(str(client.info("stats")))

    assert after - before < 10 + 2 * shown


async def test_ids_that_were_removed(server):
    """An entry that somebody has removed is not found, nor does it make its id occur twice."""
    async with opened(server.url) as broker:
        entries = [await broker.append("a", Event("x", id="x")) for _ in range(2)]
        assert await broker.find("a", "x") is None
        with server.client() as client:
            client.xdel("heliograph:{a}:events", "1-0")
        assert await broker.find("a", "x") == entries[1].position
        with server.client() as client:
            client.xdel("heliograph:{a}:events", "2-0")

        assert await broker.find("a", "x") is None
