"""A copy of the file that was put back is noticed: its numbers are given a second time."""

import asyncio
import contextlib
import logging
import shutil
import sqlite3
import threading

import pytest
from sqlite_files import opened

from heliograph import Event
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.sqlite.broker import SqliteTimings


def back_up(source, target):
    with (
        contextlib.closing(sqlite3.connect(source)) as read,
        contextlib.closing(sqlite3.connect(target)) as written,
    ):
        read.backup(written)


def by_sqlite(backup, path):
    """As the command .restore."""
    back_up(backup, path)


def by_cp(backup, path):
    """After a checkpoint: otherwise the write-ahead log still has all that came later."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(backup, path)


def by_mv(backup, path):
    for found in path.parent.glob(f"{path.name}-[ws]*"):
        found.unlink()
    shutil.copyfile(backup, path.with_name("new")).replace(path)


@contextlib.contextmanager
def holding_up(broker):
    """Keep a broker from reading meanwhile, as another process may be faster than it."""
    release = threading.Event()
    reading = asyncio.ensure_future(broker._read_thread.run(release.wait))
    try:
        yield
    finally:
        release.set()
        reading.add_done_callback(asyncio.Future.result)


WAYS = [by_sqlite, by_cp, by_mv]


async def append_all(broker, words):
    return await asyncio.gather(*(broker.append("a", Event(word)) for word in words))


@pytest.mark.parametrize("restore", WAYS)
async def test_open_streams_go_on(path, restore, caplog):
    """All that listen, in any process, get what is in the copy and what comes, and agree."""
    caplog.set_level(logging.WARNING)
    ears = [RecordingListener(), RecordingListener()]
    async with opened(path, ears[0]) as broker, opened(path, ears[1]) as other:
        await broker.listen("a")
        await other.listen("a")
        await append_all(broker, "12345")
        back_up(path, path.with_name("backup"))
        lost = (await append_all(broker, "67"))[-1]
        for ear in ears:
            await ear.wait_for_entries(7)

        restore(path.with_name("backup"), path)
        new = await append_all(broker, "abc")

        for ear in ears:
            await ear.wait_for_entries(15)
        history = await broker.read("a", lost.position, 99)
    for ear in ears:
        again = ear.entries[7:]
        assert [entry.event.data for entry in again] == [*"12345abc"]
        assert {entry.position.epoch for entry in again} == {new[0].position.epoch}
    assert new[0].position.epoch != lost.position.epoch
    assert (history.gap, len(history.entries)) == ("epoch", 8)
    noticed = caplog.text.count("was put back: the number of its last event was 7 and is 5")
    assert noticed == (restore is not by_mv)


@pytest.mark.parametrize("restore", WAYS)
async def test_a_page_that_resumes(path, restore):
    """Without an open stream, whoever publishes next notices it."""
    async with opened(path) as broker:
        await append_all(broker, "12345")
        back_up(path, path.with_name("backup"))
        lost = (await append_all(broker, "67"))[-1]

        restore(path.with_name("backup"), path)
        await append_all(broker, "abcd")
        history = await broker.read("a", lost.position, 99)

    assert history.gap == "epoch"
    assert [entry.event.data for entry in history.entries] == [*"12345abcd"]


@pytest.mark.parametrize("lost", [1, 3])
@pytest.mark.parametrize("new", [1, 3, 40])
async def test_another_process_publishes_first(path, lost, new, caplog):
    """Its events have the numbers of those that are lost, before anybody has looked."""
    caplog.set_level(logging.WARNING)
    ear = RecordingListener()
    polls = SqliteTimings(poll_with_bell_seconds=0.05)
    async with opened(path, ear, timings=polls) as broker:
        await broker.listen("a")
        await append_all(broker, "12")
        back_up(path, path.with_name("backup"))
        gone = (await append_all(broker, "x" * lost))[-1]
        await ear.wait_for_entries(2 + lost)

        with holding_up(broker):
            back_up(path.with_name("backup"), path)
            async with opened(path) as other:
                await append_all(other, "n" * new)
        await ear.wait_for_entries(2 + lost + 2 + new)
        history = await broker.read("a", gone.position, 99)

    again = ear.entries[2 + lost :]
    assert [entry.event.data for entry in again] == ["1", "2", *"n" * new]
    assert gone.position.epoch not in {entry.position.epoch for entry in again}
    assert history.gap == "epoch"
    assert caplog.text.count("was put back: ") == 1


async def test_whoever_writes_looks_first(path):
    """A process without a listener knows what it has written itself."""
    async with opened(path) as broker:
        with holding_up(broker):
            await append_all(broker, "12")
            back_up(path, path.with_name("backup"))
            (lost,) = await append_all(broker, "3")
            back_up(path.with_name("backup"), path)
            async with opened(path) as other:
                await append_all(other, "n")

            (after,) = await append_all(broker, "4")

    assert after.position.epoch != lost.position.epoch
    assert after.position.offset == 4


async def test_the_same_copy_is_put_back_twice(path):
    """It has the name again that the file had before the first time."""
    async with opened(path) as broker:
        await append_all(broker, "12")
        back_up(path, path.with_name("backup"))
        epochs = {(await append_all(broker, "34"))[-1].position.epoch}
        for _ in range(2):
            back_up(path.with_name("backup"), path)
            epochs.add((await append_all(broker, "5"))[-1].position.epoch)

    assert len(epochs) == 3


async def test_what_is_removed_is_no_copy(path):
    """A file that lost its entries, but not its numbers, keeps its epochs."""
    async with opened(path) as broker:
        before = (await append_all(broker, "12345"))[-1]
        with contextlib.closing(sqlite3.connect(path)) as other, other:
            other.execute("DELETE FROM entry")

        (after,) = await append_all(broker, "6")

    assert after.position.epoch == before.position.epoch
    assert after.position.offset == 6
