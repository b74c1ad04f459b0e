"""The SQLite broker keeps the contract."""

import asyncio
import contextlib
import logging
import sqlite3
from functools import partial

import pytest
from sqlite_files import opened, spoil

from heliograph import Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import BrokerContract, RecordingListener
from heliograph.brokers.sqlite import SqliteBroker
from heliograph.brokers.sqlite.broker import SqliteTimings


async def steps_of(broker, call):
    """Count the steps of SQLite's machine while a call is done, and nothing else is."""
    reader = broker._read_thread
    connection = await reader.run(broker._reading.connected)
    # By the thread that reads. In another one, this call waits for what it is reading, with
    # the interpreter's lock, which the handler waits for.
    count = partial(reader.run, connection.set_progress_handler)
    counts = []
    for _ in range(10):
        steps = []
        await count(partial(steps.append, 1), 1)
        await call()
        await count(None, 0)
        counts.append(len(steps))
    # The same connection reads what is new now and then.
    return min(counts)


# So that channels are forgotten while a test waits for it.
SWEEPS = SqliteTimings(sweep_seconds=0.1)

# What another program, or a failing disk, may do to the columns of an entry.
DAMAGE = {
    "type-line-end": "type = 'line' || char(10)",
    "type-blob": "type = x'61'",
    "type-not-utf-8": "type = CAST(x'ff' AS TEXT)",
    "id-line-end": "event_id = 'line' || char(13)",
    "id-nul": "event_id = CAST(x'610061' AS TEXT)",
    "id-blob": "event_id = x'ff'",
    "retry-negative": "retry_ms = -1",
    "retry-word": "retry_ms = 'soon'",
    "retry-fraction": "retry_ms = 1.5",
    "data-blob": "data = x'61'",
    "data-not-utf-8": "data = CAST(x'ff' AS TEXT)",
    "end-word": "is_end = 'word'",
    "retained-blob": "retained_as = x'61'",
    "retained-not-utf-8": "retained_as = CAST(x'ff' AS TEXT)",
    "time-word": "published_at = 'now'",
    "time-infinite": "published_at = 9e999",
}


def damager(columns):
    """Return what damages an entry by changing some of its columns."""

    async def damage(broker, entry):
        with contextlib.closing(sqlite3.connect(broker.resource)) as other, other:
            changed = other.execute(
                f"UPDATE entry SET {columns} WHERE offset = ?", (entry.position.offset,)
            )
            assert changed.rowcount == 1

    return damage


class SqliteContract(BrokerContract):
    """With SQLite's own measure."""

    @pytest.fixture
    def cost_of(self):
        return steps_of

    @pytest.fixture
    def damage(self):
        return damager(DAMAGE["data-blob"])


class TestSqlite(SqliteContract):
    """In one process."""

    @pytest.fixture(params=DAMAGE.values(), ids=DAMAGE.keys())
    def damage(self, request):
        return damager(request.param)

    @pytest.fixture
    def new_broker(self, tmp_path):
        path = tmp_path / "log.sqlite3"
        return lambda retention, clock: SqliteBroker(
            path, retention, clock=clock, timings=SWEEPS
        )


class TestSqliteDeepInTheTree(SqliteContract):
    """Where a Unix socket's address would be too long."""

    @pytest.fixture
    def new_broker(self, tmp_path):
        folder = tmp_path / ("x" * 120)
        folder.mkdir(exist_ok=True)
        return lambda retention, clock: SqliteBroker(
            folder / "log", retention, clock=clock, timings=SWEEPS
        )


class TestSqliteWithoutBells(SqliteContract):
    """Where there can be no doorbell, so that listeners poll."""

    @pytest.fixture
    def new_broker(self, tmp_path):
        (tmp_path / "log-bells").write_text("in the way of the folder")
        return lambda retention, clock: SqliteBroker(
            tmp_path / "log", retention, clock=clock, timings=SWEEPS
        )


@pytest.mark.parametrize("is_relative", [False, True])
async def test_the_log_names_the_files(path, is_relative, caplog, monkeypatch):
    """Nobody wonders what they are, nor where a relative path begins."""
    caplog.set_level(logging.INFO)
    monkeypatch.chdir(path.parent)
    async with opened(path.name if is_relative else path) as broker:
        await broker.append("a", Event("x"))
        names = {found.name for found in path.parent.iterdir()}

    line = caplog.records[0].getMessage()
    assert names == {f"{path.name}{ending}" for ending in ("", "-wal", "-shm", "-bells")}
    for word in (f"in {path}", "-wal", "-shm", f"{path}-bells"):
        assert word in line
    folder = f"relative to the current folder, {path.parent})"
    assert (folder in line) == is_relative


async def test_a_sweep_is_made_now_and_then(path, caplog):
    """It is repeated, and survives a file that cannot be used."""
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
        async with opened(path, timings=SqliteTimings(sweep_seconds=0.01)):
            spoil(path)
            await seen.wait()
    finally:
        logging.getLogger("heliograph.brokers.sqlite").removeHandler(handler)

    assert str(path) in caplog.text


async def test_a_sweep_survives_a_fault(path, caplog):
    """Whatever fails, what is too old is removed later."""
    faults = [ZeroDivisionError("a bug of a clock")] * 3
    times = []

    def clock():
        if times and faults:
            raise faults.pop()
        times.append(1e9)
        return sum(times)

    timings = SqliteTimings(sweep_seconds=0.01)
    retention = Retention(events=9, seconds=1.0)
    async with opened(path, retention=retention, clock=clock, timings=timings) as broker:
        await broker.append("a", Event("x"))
        while (await broker.read("a", None, 9)).entries:
            await asyncio.sleep(0.01)

    assert caplog.text.count("cannot remove old events, trying again") == 3


async def test_a_bell_that_was_removed_is_hung_again(path):
    """A listener whose bell has gone hears by looking, and can be rung again."""
    ear = RecordingListener()
    bells = path.with_name(f"{path.name}-bells")
    async with opened(path, ear) as broker, opened(path) as other:
        await broker.listen("a")
        for bell in bells.iterdir():
            bell.unlink()

        await other.append("a", Event("x"))

        await ear.wait_for_entries(1)
        while len(list(bells.iterdir())) < 2:
            await asyncio.sleep(0.05)


async def test_a_bell_that_could_not_be_hung_is_hung_later(tmp_path):
    """A folder that comes late is no reason to poll for ever."""
    path = tmp_path / "later" / "log"
    async with opened(path) as broker:
        await asyncio.sleep(0)
        assert broker._bell is None

        path.parent.mkdir()

        while broker._bell is None:
            await asyncio.sleep(0.01)
