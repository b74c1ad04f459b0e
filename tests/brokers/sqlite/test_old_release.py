"""Files of the last release are taken over, also while its processes still use them."""

import asyncio
import contextlib
import sqlite3

import pytest
from sqlite_files import opened
from sqlite_old import OldRelease

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.sqlite.connection import Connection
from heliograph.brokers.values import Terms
from heliograph.channels.position import Position
from heliograph.errors import ChannelEndedError

NOW = 1_000_000.0
ALL = Terms(retain_as="x", idempotency_key="k", is_end=True)


def opened_at(path, listener=None):
    return opened(path, listener, Retention(events=99, seconds=86_400), clock=lambda: NOW)


@pytest.fixture
def old(path):
    process = OldRelease(path, NOW)
    yield process
    process.close()


def schema(path):
    with contextlib.closing(sqlite3.connect(path)) as file:
        tables = file.execute(
            "SELECT type, name, tbl_name FROM sqlite_master ORDER BY name"
        ).fetchall()
        columns = [
            file.execute(f"PRAGMA table_info({name})").fetchall()
            for kind, name, _ in tables
            if kind == "table"
        ]
    return tables, columns


async def test_what_was_published_is_there(path, old, tmp_path):
    """Positions stay valid, and the tables are those of a new file."""
    for data in "123":
        old.append("a", data)
    old.close()
    async with opened_at(path) as broker:
        history = await broker.read("a", None, 9)
        assert [entry.event.data for entry in history.entries] == [*"123"]
        assert (history.began, history.has_ended) == (0, False)
        last = await broker.append("a", Event("4"), terms=ALL)
        resumed = await broker.read("a", history.head, 9)
        assert (resumed.gap, resumed.entries) == (None, (last,))
        assert await broker.retained_as("a", "x") == last
        assert await broker.append("a", Event("4"), terms=ALL) == last

    new = tmp_path / "new"
    async with opened_at(new):
        assert schema(path) == schema(new)


async def test_both_releases_share_the_file(path, old):
    """Plain events of both arrive at both, in one numbering."""
    ear = RecordingListener()
    old.append("a", "old 1")
    async with opened_at(path, ear) as broker:
        await broker.listen("a")
        await broker.append("a", Event("new 2"))
        assert old.append("a", "old 3") == 3
        await broker.append("a", Event("new 4"), terms=Terms(retain_as="x"))
        assert old.append("a", "old 5") == 5
        entries = await ear.wait_for_entries(4)

        assert [entry.event.data for entry in entries] == [
            "new 2",
            "old 3",
            "new 4",
            "old 5",
        ]
        assert [offset for offset, _ in old.read("a")] == [1, 2, 3, 4, 5]
        again = OldRelease(path, NOW)
        assert again.read("a") == old.read("a")
        again.close()


async def test_an_old_process_opens_an_ended_channel(path, old):
    """It does not know of the end; nobody loses what it publishes."""
    async with opened_at(path) as broker:
        last = await broker.append("a", Event("end"), terms=ALL)
        with pytest.raises(ChannelEndedError):
            await broker.append("a", Event("x"))

        old.append("a", "after the end")

        history = await broker.read("a", last.position, 9)
        assert [entry.event.data for entry in history.entries] == ["after the end"]
        assert not history.has_ended
        assert (await broker.append("a", Event("x"))).position.offset == 3


async def test_an_old_process_trims_history(path, old):
    """What is retained stays, since it is in another table."""
    async with opened_at(path) as broker:
        kept = await broker.append("a", Event("kept"), terms=Terms(retain_as="x"))
        for n in range(5):
            old.append("a", str(n), events=2)

        assert [offset for offset, _ in old.read("a")] == [5, 6]
        assert (await broker.retained("a", 0, 9)).entries == (kept,)


async def test_an_old_process_forgets_channels(path, old):
    """Nothing of them is left, and other channels that get their numbers have nothing of it."""
    async with opened_at(path) as broker:
        early = (await broker.read("a", None, 0)).head
        last = await broker.append("a", Event("secret"), terms=ALL)
        old.forget()

        assert old.file.execute("SELECT count(*) FROM retained").fetchone() == (0,)
        for position in (early, last.position):
            assert (await broker.read("a", position, 9)).gap == "epoch"
        entry = await broker.append("b", Event("x"))
        assert entry.position.offset == 1
        assert (await broker.retained("b", 0, 9)).entries == ()
        assert not (await broker.read("b", None, 0)).has_ended
        assert (await broker.read("b", Position(entry.position.epoch, 0), 9)).gap is None


async def test_many_open_an_old_file_at_once(path, old):
    """One of them adds what is missing; the others wait for it."""
    old.append("a", "1")

    def connect(_):
        connection = Connection(path)
        with connection.reading() as opened_file:
            found = opened_file.execute("SELECT began FROM channel").fetchall()
        connection.close()
        return found

    calls = (asyncio.to_thread(connect, n) for n in range(12))

    assert await asyncio.gather(*calls) == [[(0,)]] * 12
    assert old.append("a", "2") == 2


async def test_a_file_is_taken_over_as_a_whole(path, old):
    """A process that is killed on the way has changed nothing, and the next one does it."""
    old.append("a", "1")
    before = schema(path)
    old.file.execute("CREATE TABLE forgotten (x)")
    with_obstacle = schema(path)
    connection = Connection(path)
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        connection.connected()
    assert schema(path) == with_obstacle

    old.file.execute("DROP TABLE forgotten")
    assert schema(path) == before
    async with opened_at(path) as broker:
        assert (await broker.append("a", Event("2"))).position.offset == 2


async def test_a_backup_of_the_last_release_is_restored(path, old, tmp_path):
    """Processes that have the file open add to it again; publishers repeat what fails."""
    backup = sqlite3.connect(tmp_path / "backup")
    old.append("a", "old 1")
    old.file.backup(backup)
    async with opened_at(path) as broker:
        last = await broker.append("a", Event("2"), terms=Terms(retain_as="x"))
        backup.backup(old.file)
        backup.close()

        with pytest.raises(BrokerUnavailableError, match="former release"):
            await broker.append("a", Event("3"))

        entry = await broker.append("a", Event("3"))
        assert (entry.position.offset, entry.event.data) == (2, "3")
        assert entry.position.epoch != last.position.epoch
