"""Entries that others have damaged, added or removed make a gap; reading goes on."""

import asyncio
import contextlib
import os

import pytest
import redis
from on_redis import Forwarded, opened

from heliograph import Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import RecordingListener, offsets
from heliograph.channels.position import Position
from redises import RedisServer
from streams import until

GOOD = '{"data": "x"}'


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
    "at-future": "HSET {hash} at 9e14",
    "at-nan": "HSET {hash} at nan",
    "ahead-word": "HSET {hash} ahead word",
    "ahead-nan": "HSET {hash} ahead 99999999999999999999_e_nan",
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
    """Return a command of DAMAGE as the words that Redis takes."""
    if isinstance(command, str):
        command = command.encode()
    values = {
        b"{hash}": b"heliograph:{a}:channel",
        b"{stream}": b"heliograph:{a}:events",
        b"{other}": b"heliograph:{c}:events",
        b"{good}": GOOD.encode(),
        b"{retry}": f'{{"data": "x", "retry": {2**63}}}'.encode(),
    }
    words = [values.get(word, word) for word in command.split()]
    return [word.replace(b"_", b" ") if b"_e_" in word else word for word in words]


@pytest.mark.parametrize("forgets", [False, True], ids=["seen", "unseen"])
@pytest.mark.parametrize("command", DAMAGE.values(), ids=DAMAGE.keys())
async def test_foreign_rows(server, command, forgets):
    """Reading, finding, publishing and listening go on, in that channel and in others."""
    ear = RecordingListener()
    async with opened(server.url, ear) as here, opened(server.url) as there:
        for name in ("a", "b", "c"):
            await here.listen(name)
        for n in range(3):
            last = await here.append("a", Event(str(n), id=str(n)))
        await ear.wait_for_entries(3)
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


async def test_damaged_entries(server, caplog):
    """They are logged and skipped, and make a gap: nobody waits for them, or goes deaf."""
    ear = RecordingListener()
    async with opened(server.url, ear) as broker:
        await broker.listen("a")
        first = await broker.append("a", Event("1"))
        await ear.wait_for_entries(1)
        with server.client() as client:
            client.hincrby("heliograph:{a}:channel", "head", 2)
            client.xadd("heliograph:{a}:events", {"event": "{bad", "at": "9e9"}, id="2-0")
            client.xadd("heliograph:{a}:events", {"odd": "fields"}, id="3-0")

        last = await broker.append("a", Event("4"))

        assert await ear.wait_for_entries(2) == [first, last]
        assert offsets(await broker.read("a", None, 9)) == [1]
        rest = await broker.read("a", first.position, 9)
        assert (offsets(rest), rest.start.offset, rest.gap) == ([4], 3, "trimmed")
        assert offsets(await broker.read("a", rest.start, 9)) == [4]
    assert "channel 'a': skipped damaged entries: the first is 2" in caplog.text


@pytest.mark.parametrize("number", ["2-0", "*"])
async def test_entries_of_others(server, number):
    """Whatever somebody adds to the stream, publishing goes on; what is lost is a gap."""
    ear = RecordingListener()
    async with opened(server.url, ear, Retention(events=2, seconds=1000)) as broker:
        await broker.listen("a")
        await broker.append("a", Event("1"))
        # Else it may be lost, which is a gap, before it is heard.
        await ear.wait_for_entries(1)
        with server.client() as client:
            client.xadd("heliograph:{a}:events", {"odd": "fields"}, id=number)

        for n in range(2, 7):
            last = await broker.append("a", Event(str(n)))
            # Two events are kept: a listener that is behind by more misses some.
            await ear.wait_for_entries(n)

        assert [entry.event.data for entry in ear.entries] == list("123456")
        rest = await broker.read("a", None, 9)
        assert rest.entries == tuple(ear.entries[-2:])
        assert rest.head == last.position


async def test_entries_that_somebody_has_removed(server):
    """They make a gap, too, wherever they were."""
    ear = RecordingListener()
    async with opened(server.url, ear) as broker:
        entries = [await broker.append("a", Event(str(n))) for n in range(1, 7)]
        with server.client() as client:
            client.xdel("heliograph:{a}:events", "2-0", "3-0", "6-0")

        assert offsets(await broker.read("a", None, 9)) == [1]
        middle = await broker.read("a", entries[0].position, 9)
        assert (offsets(middle), middle.start.offset, middle.gap) == ([4, 5], 3, "trimmed")
        end = await broker.read("a", entries[4].position, 9)
        assert (offsets(end), end.start, end.gap) == ([], entries[5].position, "trimmed")


async def test_history(server):
    """A page that is trimmed while it is read is never a hole."""
    async with opened(server.url, retention=Retention(events=50, seconds=1000)) as broker:

        async def append():
            for _ in range(300):
                await broker.append("a", Event("x"))

        await broker.append("a", Event("first"))
        appending, pages = asyncio.create_task(append()), []
        while not appending.done():
            pages.append(offsets(await broker.read("a", None, 10)))
        await appending

    for found in pages:
        assert found
        assert found == list(range(found[0], found[0] + len(found)))
    # Some were read while the beginning was trimmed.
    assert len({found[0] for found in pages}) > 2


async def test_pages_are_bounded_by_bytes(server):
    """However many entries are asked for; at least one is given."""
    async with opened(server.url) as broker:
        for n in (100_000, 100_000, 100_000, 2_000_000, 10):
            await broker.append("a", Event("x" * n))

        pages, after = [], None
        while True:
            page = await broker.read("a", after, 100)
            if not page.entries:
                break
            pages.append(offsets(page))
            after = page.entries[-1].position

    assert pages == [[1, 2], [3], [4], [5]]


# How a server becomes the wrong one, as commands of its own. Add a row, not a test.
WRONG_SERVERS = {
    "READONLY": [("REPLICAOF", "127.0.0.1", "{other}")],
    "NOREPLICAS": [("CONFIG", "SET", "min-replicas-to-write", "1")],
    "MASTERDOWN": [
        ("CONFIG", "SET", "replica-serve-stale-data", "no"),
        ("REPLICAOF", "127.0.0.1", "1"),
    ],
    "LOADING": [
        ("CONFIG", "SET", "loading-process-events-interval-bytes", "1024"),
        ("CONFIG", "SET", "key-load-delay", "200000"),
        ("DEBUG", "RELOAD"),
    ],
}


def tell(server, other, commands):
    """Send commands; the last may take long, and end with the server."""
    with server.client() as client, contextlib.suppress(redis.RedisError):
        for words in commands:
            client.execute_command(*(word.format(other=other.port) for word in words))


def refusal_of(server):
    """Return the code with which a server refuses a read or a write."""
    with server.client() as client:
        try:
            client.get("refused")
            client.set("refused", "")
        except redis.RedisError as error:
            return error.status_code or str(error).partition(" ")[0]
    return None


@pytest.mark.parametrize("code", WRONG_SERVERS)
async def test_a_server_that_is_the_wrong_one(tmp_path, code):
    """It has done nothing: the call is repeated on a new connection, which finds the right one."""
    first, other = (
        RedisServer(tmp_path / name, "--enable-debug-command", "yes") for name in "ab"
    )
    async with Forwarded(first) as forwarded, opened(forwarded.url) as broker:
        for n in range(10):
            # Not compressible: Redis answers after each kilobyte that it has loaded.
            await broker.append(str(n), Event(os.urandom(1000).hex()))
        telling = asyncio.create_task(
            asyncio.to_thread(tell, first, other, WRONG_SERVERS[code])
        )
        while await asyncio.to_thread(refusal_of, first) != code:
            await asyncio.sleep(0.01)
        forwarded.server = other

        await broker.append("new", Event("x"))

        with other.client() as client:
            assert client.exists("heliograph:{new}:channel")
        for server in (first, other):
            server.kill()
        await telling
