"""The SQLite broker keeps the contract, between processes and through failures."""

import asyncio
import contextlib
import logging
import os
import random
import resource
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from contract import BrokerContract, Clock, Ear, offsets

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers import Retention
from heliograph.brokers.sqlite import SqliteBroker
from heliograph.channels.position import Position

PROGRAMS = Path(__file__).parents[1] / "programs"
RETENTION = Retention(events=100_000, seconds=86_400)


async def steps_of(broker, call):
    """Count the steps of SQLite's machine while a call is done, and nothing else is."""
    connection = await broker._reader.run(broker._reader_store._connected)
    counts = []
    for _ in range(10):
        steps = []
        connection.set_progress_handler(partial(steps.append, 1), 1)
        await call()
        connection.set_progress_handler(None, 0)
        counts.append(len(steps))
    # The same connection reads what is new now and then.
    return min(counts)


class SqliteContract(BrokerContract):
    """With SQLite's own measure."""

    @pytest.fixture
    def cost_of(self):
        return steps_of


class TestSqlite(SqliteContract):
    """In one process."""

    @pytest.fixture
    def new_broker(self, tmp_path):
        path = tmp_path / "log.sqlite3"
        return lambda retention, clock: SqliteBroker(path, retention, clock=clock)


class TestSqliteDeepInTheTree(SqliteContract):
    """Where a Unix socket's address would be too long."""

    @pytest.fixture
    def new_broker(self, tmp_path):
        folder = tmp_path / ("x" * 120)
        folder.mkdir(exist_ok=True)
        return lambda retention, clock: SqliteBroker(folder / "log", retention, clock=clock)


class TestSqliteWithoutBells(SqliteContract):
    """Where there can be no doorbell, so that listeners poll."""

    @pytest.fixture
    def new_broker(self, tmp_path):
        (tmp_path / "log-bells").write_text("in the way of the folder")
        return lambda retention, clock: SqliteBroker(
            tmp_path / "log", retention, clock=clock
        )


@contextlib.asynccontextmanager
async def opened(path, listener=None, retention=RETENTION, clock=None):
    broker = SqliteBroker(path, retention, **({"clock": clock} if clock else {}))
    await broker.open(listener or Ear())
    try:
        yield broker
    finally:
        await broker.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.sqlite3"


async def test_two_brokers_share_a_file(path):
    """What one appends the other hears, as if it were its own."""
    ear = Ear()
    async with opened(path, ear) as here, opened(path) as there:
        await here.listen("a")
        one = await there.append("a", Event("there"))
        two = await here.append("a", Event("here"))

        assert await ear.hear(2) == [one, two]


async def test_survives_being_closed(path):
    """Numbering and history go on where they were."""
    async with opened(path) as broker:
        first = await broker.append("a", Event("x"))
    async with opened(path) as broker:
        second = await broker.append("a", Event("y"))
        history = await broker.read("a", None, 9)

    assert second.position == Position(first.position.epoch, 2)
    assert offsets(history) == [1, 2]


async def test_a_new_file_is_another_life(path):
    """Positions of a file that was removed are not misread."""
    async with opened(path) as broker:
        first = await broker.append("a", Event("x"))
    path.unlink()
    async with opened(path) as broker:
        second = await broker.append("a", Event("x"))

    assert second.position.offset == 1
    assert second.position.epoch != first.position.epoch


async def test_the_file_is_replaced_under_our_feet(path):
    """Nothing goes on into a file that nobody else can see, and listeners follow."""
    ear = Ear()
    async with opened(path, ear) as broker:
        await broker.listen("a")
        await broker.append("a", Event("lost"))
        await ear.hear(1)
        for name in os.listdir(path.parent):
            if name.startswith(f"{path.name}-") or name == path.name:
                with contextlib.suppress(OSError):
                    (path.parent / name).unlink()

        async with opened(path) as other:
            appended = await other.append("a", Event("new life"))
        again = await broker.append("a", Event("same life"))

        assert again.position == Position(appended.position.epoch, 2)
        assert (await ear.hear(3))[1:] == [appended, again]


async def test_only_the_owner_may_read(path):
    """Events may be private; so are the files."""
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
        modes = {
            found.name: stat.S_IMODE(found.stat().st_mode)
            for found in path.parent.iterdir()
        }

    assert modes == {
        "log.sqlite3": 0o600,
        "log.sqlite3-wal": 0o600,
        "log.sqlite3-shm": 0o600,
        "log.sqlite3-bells": 0o700,
    }


async def test_a_link_to_a_file_that_is_not_there(path, tmp_path):
    """What it leads to is made with the same mode."""
    path.symlink_to(tmp_path / "elsewhere")
    async with opened(path) as broker:
        await broker.append("a", Event("x"))

    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o600


async def test_the_file_does_not_grow_without_bound(path):
    """Trimming goes on as events come, and space is used again."""
    async with opened(path, retention=Retention(events=50, seconds=1000)) as broker:
        for _ in range(400):
            await asyncio.gather(
                *(broker.append("a", Event("x" * 1000)) for _ in range(50))
            )
        size = sum(found.stat().st_size for found in path.parent.iterdir())

    # 20 MB were published; SQLite lets the write-ahead log grow to 4 MB.
    assert size < 6_000_000


async def test_sweep_without_publishing(path):
    """Old events go, and channels long silent are forgotten, without one being published."""
    clock = Clock()
    async with opened(
        path, retention=Retention(events=9, seconds=10), clock=clock
    ) as broker:
        old = await broker.append("a", Event("x"))
        clock.now += 11
        await broker._writer.run(broker._writer_store.sweep)
        assert offsets(await broker.read("a", None, 9)) == []
        assert (await broker.read("a", None, 9)).head == old.position

        clock.now += 31 * 86_400
        await broker._writer.run(broker._writer_store.sweep)

        history = await broker.read("a", old.position, 9)
        assert (history.gap, history.head.offset) == ("epoch", 0)


async def test_a_sweep_is_made_now_and_then(path, monkeypatch, caplog):
    """It is repeated, and survives a file that cannot be used."""
    monkeypatch.setattr("heliograph.brokers.sqlite.broker._SWEEP_SECONDS", 0.01)
    path.write_text("no database at all, and long enough to be one" * 99)
    seen = asyncio.Event()
    caplog.set_level(logging.WARNING)
    loop = asyncio.get_running_loop()

    class Handler(logging.Handler):
        def emit(self, record):
            if "old events" in record.getMessage():
                loop.call_soon_threadsafe(seen.set)

    handler = Handler()
    logging.getLogger("heliograph.brokers.sqlite").addHandler(handler)
    try:
        async with opened(path):
            await seen.wait()
    finally:
        logging.getLogger("heliograph.brokers.sqlite").removeHandler(handler)

    assert str(path) in caplog.text


async def test_stale_bells_are_removed(path):
    """A bell of a process that was killed is taken down by the next ring."""
    bells = path.with_name(f"{path.name}-bells")
    bells.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(bells / "dead"))
    (bells / "file").write_text("not a socket")

    async with opened(path) as broker:
        await broker.append("a", Event("x"))
        names = {found.name for found in bells.iterdir()}

    assert "dead" not in names
    assert len(names) == 2 - ("file" not in names)


async def test_a_bell_that_was_removed_is_hung_again(path):
    """A listener whose bell has gone hears by looking, and can be rung again."""
    ear = Ear()
    bells = path.with_name(f"{path.name}-bells")
    async with opened(path, ear) as broker, opened(path) as other:
        await broker.listen("a")
        for bell in bells.iterdir():
            bell.unlink()

        await other.append("a", Event("x"))

        await ear.hear(1)
        while len(list(bells.iterdir())) < 2:
            await asyncio.sleep(0.05)


async def test_a_damaged_channel_stops_no_other(path):
    """All are listened to in one transaction, and that one cannot be."""
    ear = Ear()
    async with opened(path, ear) as broker:
        await broker.append("damaged", Event("x"))
        with sqlite3.connect(path) as file:
            file.execute("UPDATE channel SET head = 'many'")
        file.close()
        calls = [broker.listen(name) for name in ("a", "damaged", "b")]

        with pytest.raises(BrokerUnavailableError, match="'damaged' is damaged"):
            await calls[1]
        assert (await calls[0]).offset == (await calls[2]).offset == 0
        await broker.append("b", Event("x"))
        assert [e.channel for e in await ear.hear(1)] == ["b"]


async def test_news_before_a_crowd(path):
    """Who has come before hears what is published, however much newcomers have to ask."""
    ear = Ear()
    async with opened(path, ear) as broker:
        await broker.listen("a")
        crowd = [broker.listen(f"c{n}") for n in range(20_000)]
        await broker.append("a", Event("x"))
        await ear.hear(1)
        assert not all(one.done() for one in crowd)
        await asyncio.gather(*crowd)


def inode(path):
    return path.stat().st_ino


async def read_all(broker, channel):
    """The whole history, page by page."""
    entries, after = [], None
    while True:
        page = await broker.read(channel, after, 10_000)
        if not page.entries:
            return entries, page.head
        entries += page.entries
        after = entries[-1].position


async def test_pages_are_bounded_by_bytes(path):
    """Large entries come a few at a time, and all of them come."""
    async with opened(path) as broker:
        for n in range(10):
            await broker.append("a", Event(f"{n}" + "x" * 100_000))

        page = await broker.read("a", None, 10)
        entries, _ = await read_all(broker, "a")

        assert len(page.entries) == 3
        assert [entry.position.offset for entry in entries] == list(range(1, 11))


async def test_a_process_that_ends_takes_nothing_away(path):
    """Others that come and go cleanly leave us our log and our locks."""
    ear = Ear()
    async with opened(path, ear) as broker:
        await broker.listen("a")
        for n in range(3):
            mine = await broker.append("a", Event("mine"))
            with run_program("publish.py", path, 20, n, "a") as program:
                program.communicate(timeout=30)
            assert mine.position.offset == 1 + 21 * n
        await ear.hear(63)
        assert f":{inode(path)} " in Path("/proc/locks").read_text()  # noqa: ASYNC240 - no file

    assert ear.offsets("a") == list(range(1, 64))
    async with opened(path) as broker:
        entries, _ = await read_all(broker, "a")
    assert len(entries) == 63


async def test_a_damaged_entry(path, caplog):
    """It is an error to who reads it, and skipped for who listens: nobody goes deaf."""
    ear = Ear()
    async with opened(path, ear) as broker:
        await broker.listen("a")
        await broker.append("a", Event("1"))
        await ear.hear(1)
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("UPDATE channel SET head = 2")
            other.execute(
                "INSERT INTO entry (channel_id, offset, published_at, type, data)"
                " SELECT id, 2, published_at, 'line' || char(10), 'x' FROM channel"
            )
            other.commit()

        await broker.append("a", Event("3"))

        await ear.hear(2)
        assert ear.offsets("a") == [1, 3]
        with pytest.raises(BrokerUnavailableError, match="damaged entry 2 in channel 'a'"):
            await broker.read("a", None, 9)
    assert "damaged" in caplog.text


async def test_damage_is_logged_once(path, caplog):
    """Another program cannot fill the log with what it writes into the file."""
    ear = Ear()
    async with opened(path, ear) as broker:
        for name in ("a", "b"):
            await broker.listen(name)
            await broker.append(name, Event("x"))
        for n in range(2, 5):
            with contextlib.closing(sqlite3.connect(path)) as other, other:
                other.execute("UPDATE channel SET epoch = 'a-b' WHERE name = 'b'")
                other.execute(
                    "INSERT INTO entry (channel_id, offset, published_at, type, data)"
                    " SELECT id, ?, published_at, 'line' || char(10), 'x' FROM channel"
                    " WHERE name = 'a'",
                    (n * 10,),
                )
            await broker.append("b", Event("x"))
            await ear.hear(n + 1)

    lines = [record.message for record in caplog.records]
    assert [line.partition(f": {path}")[0] for line in sorted(lines)] == [
        "channel 'a': skipped damaged entries",
        "channel 'b': skipped its damaged row, it begins anew",
    ]


# What somebody may do to the entry of channel a, or to its row. Add a row, not a test.
DAMAGE = {
    "offset-negative": "UPDATE entry SET offset = -5",
    "offset-word": "UPDATE entry SET offset = 'word'",
    "offset-blob": "UPDATE entry SET offset = x'ff'",
    "offset-fraction": "UPDATE entry SET offset = 1.5",
    "time-word": "UPDATE entry SET published_at = 'word'",
    "time-inf": "UPDATE entry SET published_at = 9e999",
    "type-not-utf-8": "UPDATE entry SET type = CAST(x'ff' AS TEXT)",
    "type-blob": "UPDATE entry SET type = x'ff'",
    "id-not-utf-8": "UPDATE entry SET event_id = CAST(x'ff' AS TEXT)",
    "data-not-utf-8": "UPDATE entry SET data = CAST(x'ff' AS TEXT)",
    "data-blob": "UPDATE entry SET data = x'ff'",
    "retry-negative": "UPDATE entry SET retry_ms = -1",
    "retry-word": "UPDATE entry SET retry_ms = 'word'",
    "epoch-odd": "UPDATE channel SET epoch = 'a-b'",
    "epoch-long": "UPDATE channel SET epoch = 'abcdefghijklmnopq'",
    "epoch-not-utf-8": "UPDATE channel SET epoch = CAST(x'ff' AS TEXT)",
    "head-negative": "UPDATE channel SET head = -1",
    "head-word": "UPDATE channel SET head = 'word'",
    "head-fraction": "UPDATE channel SET head = 1.5",
}


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE.keys())
async def test_damaged_rows(path, statement):
    """Other channels are heard, published to and read; this one is, as far as it can be."""
    ear = Ear()
    async with opened(path, ear) as broker, opened(path) as newcomer:
        for name in ("a", "b"):
            await broker.listen(name)
        with contextlib.closing(sqlite3.connect(path)) as other, other:
            other.execute(
                "INSERT INTO channel (name, epoch, head, published_at)"
                " SELECT 'a', epoch, 1, 9e9 FROM meta"
            )
            other.execute(
                "INSERT INTO entry (channel_id, offset, published_at, event_id, data)"
                " SELECT id, 1, 9e9, 'x', 'damaged' FROM channel"
            )
            other.execute(statement)
        for call in (
            broker.read("a", None, 9),
            broker.read("a", Position("other", 5), 0),
            broker.find("a", "x"),
            newcomer.listen("a"),
        ):
            # One that cannot be read says so, and nothing else.
            with contextlib.suppress(BrokerUnavailableError):
                await call

        entries = await asyncio.gather(
            broker.append("a", Event("new")), broker.append("b", Event("new"))
        )

        while not all(entry in ear.entries for entry in entries):
            await asyncio.sleep(0.01)
        assert (await broker.read("b", None, 9)).entries == (entries[1],)
        assert (await broker.read("a", entries[0].position, 9)).gap is None


async def test_a_backup_that_was_put_back_is_another_life(path):
    """It gives offsets a second time; nobody takes them for the first."""
    ear = Ear()
    async with opened(path) as broker:
        first = await broker.append("a", Event("1"))
    backup = path.read_bytes()
    async with opened(path, ear) as broker:
        await broker.listen("a")
        lost = await broker.append("a", Event("lost"))
        await ear.hear(1)
        for found in path.parent.glob("log.sqlite3*"):
            if found.is_file():
                found.unlink()
        restored = path.with_name("restored")
        restored.write_bytes(backup)
        restored.rename(path)

        again = await broker.append("a", Event("again"))

        assert again.position.offset == lost.position.offset == 2
        assert again.position.epoch != first.position.epoch
        # All that the file holds is of the new life.
        await ear.hear(3)
        assert ear.entries[1].position == Position(again.position.epoch, 1)
        assert ear.entries[2] == again


async def test_a_bell_that_could_not_be_hung_is_hung_later(tmp_path):
    """A folder that comes late is no reason to poll for ever."""
    path = tmp_path / "later" / "log"
    async with opened(path) as broker:
        await asyncio.sleep(0)
        assert broker._bell is None

        path.parent.mkdir()

        while broker._bell is None:
            await asyncio.sleep(0.01)


async def test_a_large_sweep_leaves_room_for_others(path):
    """Old events are removed some at a time."""
    clock = Clock()
    async with opened(
        path, retention=Retention(events=100_000, seconds=10), clock=clock
    ) as broker:
        await asyncio.gather(*(broker.append("a", Event("x")) for _ in range(5000)))
        clock.now += 60

        rounds = 0
        while await broker._writer.run(broker._writer_store.sweep):
            rounds += 1

        assert rounds == 2
        assert (await broker.read("a", None, 1)).entries == ()


# Failures. Each is undone afterwards, and the same broker must work again.


async def expect_unavailable(broker, path, words):
    for call in (broker.append("a", Event("x")), broker.read("a", None, 1)):
        with pytest.raises(BrokerUnavailableError) as caught:
            await call
        assert caught.value.resource == str(path)
        assert any(word in caught.value.reason for word in words), caught.value.reason


async def test_corrupt_file(path):
    """A file that is no database says so, and the broker lives on."""
    path.write_text("this is certainly not a database" * 100)
    async with opened(path) as broker:
        await expect_unavailable(broker, path, ["not a database"])
        with pytest.raises(BrokerUnavailableError):
            await broker.listen("a")
        with pytest.raises(BrokerUnavailableError):
            await broker.find("a", "x")

        path.unlink()

        assert (await broker.append("a", Event("x"))).position.offset == 1


async def test_corrupt_pages(path):
    """Damage inside is an error that names the file, not a crash."""
    async with opened(path) as broker:
        for _ in range(50):
            await broker.append("a", Event("x" * 5000))
    damaged = bytearray(path.read_bytes())
    damaged[4096 : len(damaged)] = random.Random(1).randbytes(len(damaged) - 4096)
    path.write_bytes(damaged)

    async with opened(path) as broker:
        with pytest.raises(
            BrokerUnavailableError, match=r"malformed|corrupt|not a database"
        ):
            await broker.append("a", Event("x"))


async def test_database_of_another_program(path):
    """Somebody else's tables are not touched."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.commit()

    async with opened(path) as broker:
        await expect_unavailable(broker, path, ["another program"])


async def test_layout_of_a_later_version(path):
    """A file from the future is refused by name."""
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
    with contextlib.closing(sqlite3.connect(path)) as later:
        later.execute("PRAGMA user_version = 99")

    async with opened(path) as broker:
        await expect_unavailable(broker, path, ["layout 99"])


async def test_missing_folder(tmp_path):
    """A path that cannot be made names itself."""
    path = tmp_path / "missing" / "log"
    async with opened(path) as broker:
        await expect_unavailable(broker, path, ["No such file"])

        path.parent.mkdir()

        assert await broker.append("a", Event("x"))


async def test_locked_database(path, monkeypatch):
    """A lock that is not released is an error in the end, and no longer one afterwards."""
    monkeypatch.setattr("heliograph.brokers.sqlite.store._LOCK_TIMEOUT_SECONDS", 0.2)
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(BrokerUnavailableError, match="locked") as caught:
                await broker.append("a", Event("x"))
            assert caught.value.resource == str(path)
            # Readers do not wait for writers.
            assert offsets(await broker.read("a", None, 9)) == [1]

        assert (await broker.append("a", Event("x"))).position.offset == 2


async def test_a_short_lock_is_waited_for(path):
    """Another process that writes is no error."""
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
        with contextlib.closing(
            sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        ) as holder:
            holder.execute("BEGIN IMMEDIATE")
            asyncio.get_running_loop().call_later(0.1, holder.execute, "COMMIT")

            assert (await broker.append("a", Event("x"))).position.offset == 2


def run_program(name, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, PROGRAMS / name, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def limit_file_size():
    # The kernel then refuses to write as a full disk does, with another number.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))


def test_full_disk(path):
    """A disk without room is an error that names the file; what was stored stays."""
    with run_program("fill.py", path, preexec_fn=limit_file_size) as program:
        out, _ = program.communicate(timeout=50)

    *_, stored, error, after = out.splitlines()
    assert int(stored) > 0
    assert str(path) in error
    assert "full" in error or "I/O" in error
    assert after == f"readable {stored}"


@pytest.mark.skipif(
    os.getuid() != 0, reason="root drops its rights for this; others cannot"
)
def test_read_only(path):
    """A file that may not be written is an error that names it."""
    with contextlib.closing(sqlite3.connect(path)):
        path.touch()
    path.chmod(0o444)
    with run_program("read_only.py", path, 65534) as program:
        out, _ = program.communicate(timeout=50)

    assert str(path) in out
    assert "ermission denied" in out or "readonly" in out


# Between processes.


@pytest.mark.timeout(240)
def test_four_publish_four_listen(path):
    """Every listener sees every event in offset order, once."""
    events, channels = 10_000, ["a", "b", "c"]
    listeners = [run_program("listen.py", path, 4 * events, *channels) for _ in range(4)]
    for listener in listeners:
        assert listener.stdout.readline() == "listening\n"
    publishers = [run_program("publish.py", path, events, n, *channels) for n in range(4)]

    for program in publishers:
        out, _ = program.communicate(timeout=200)
        assert program.returncode == 0, out
    reports = {program.communicate(timeout=200)[0] for program in listeners}

    # The listeners check order and holes themselves, and print a digest of what they saw.
    assert len(reports) == 1
    assert reports.pop().startswith(f"{4 * events} in order, once: ")


@pytest.mark.timeout(300)
def test_kill_9_of_a_publisher(path, chance):
    """Fifty times: every publish that returned is there, the file opens, no hole."""
    returned = set()
    for attempt in range(50):
        with run_program("publish_for_ever.py", path, attempt) as program:
            for line in program.stdout:
                returned.add(line.strip())
                if chance.random() < 0.02:
                    break
            program.send_signal(signal.SIGKILL)
            # The last line may have been cut by the kill.
            rest = program.stdout.read()
            returned.update(rest.split("\n")[:-1])

    async def check():
        async with opened(path) as broker:
            entries, head = await read_all(broker, "a")
            appended = await broker.append("a", Event("afterwards"))
            return entries, head, appended

    entries, head, appended = asyncio.run(check())
    returned.discard("")
    assert [e.position.offset for e in entries] == list(range(1, head.offset + 1))
    assert appended.position.offset == head.offset + 1
    stored = {f"{e.position.offset} {e.event.data}" for e in entries}
    assert len(returned) > 50
    assert returned <= stored
