"""A file is inspected without being made, upgraded, changed or rung."""

import asyncio
import contextlib
import select
import socket
import sqlite3
import subprocess
import sys

import pytest
from sqlite_files import RETENTION, opened, spoil
from sqlite_old import OldRelease

from heliograph import BrokerUnavailableError, ConfigError, Event
from heliograph.brokers import Retention, Terms, inspect_broker
from heliograph.brokers.sqlite import SqliteBroker
from heliograph.brokers.sqlite.doorbell import Doorbell


def inspecting(path):
    return SqliteBroker(path, RETENTION).inspect()


async def names(path, prefix=""):
    async with inspecting(path) as storage:
        return [summary.name async for summary in storage.channels(prefix)]


def contents(folder):
    """Everything in a folder, except for what SQLite shares between processes."""
    return {
        found.name: (found.read_bytes(), found.stat().st_mtime_ns, found.stat().st_mode)
        for found in folder.iterdir()
        if found.is_file() and not found.name.endswith("-shm")
    }


async def look_at_all(path):
    async with inspecting(path) as storage:
        assert [summary.name async for summary in storage.channels()] == ["a"]
        assert (await storage.channel("a")).events == 1
        assert len(await storage.newest("a", 9)) == 1
        assert await storage.channel("b") is None
        await storage.processes()


async def test_nothing_changes(path, tmp_path):
    """Neither in a file that is open, nor in one that nobody has open."""
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
        before = contents(tmp_path)
        await look_at_all(path)
        assert contents(tmp_path) == before
    before = contents(tmp_path)

    await look_at_all(path)

    assert contents(tmp_path) == before
    assert [*before] == [path.name]


async def test_after_a_crash(path):
    """What is in the log only is read, too."""
    program = "import os, sqlite3, sys; f = sqlite3.connect(sys.argv[1], isolation_level=None); f.execute('UPDATE channel SET head = 2'); os._exit(9)"
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
    await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program, path], check=False
    )

    async with inspecting(path) as storage:
        assert (await storage.channel("a")).head.offset == 2


def missing(path):
    pass


def empty(path):
    path.touch(0o600)


def other_program(path):
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE t (x)")


def old_release(path):
    process = OldRelease(path, 1_000_000.0)
    process.append("a", "x")
    process.close()


# (what is at the path, words of the message)
REFUSED = [
    (missing, "there is no such file"),
    (empty, "nothing was ever published to it"),
    (other_program, "a database of another program"),
    (spoil, "file is not a database"),
    (old_release, "has the tables of an earlier release"),
]


@pytest.mark.parametrize(("prepare", "words"), REFUSED)
async def test_refused(path, tmp_path, prepare, words):
    """What is no file of this release is named, and left as it is."""
    prepare(path)
    before = contents(tmp_path)

    with pytest.raises(ConfigError, match=words) as caught:
        await names(path)

    assert str(path) in str(caught.value)
    assert contents(tmp_path) == before


async def test_a_file_that_is_removed_meanwhile(path):
    """It is read to its end: SQLite has it open."""
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
    async with inspecting(path) as storage:
        path.unlink()

        assert await storage.channel("a") is not None


async def test_in_the_order_of_names(path):
    """Also of several pages, which end wherever they like."""
    all_names = [f"c{n}" for n in range(450)]
    async with opened(path) as broker:
        for name in all_names:
            await broker.append(name, Event("x"))

    assert await names(path) == sorted(all_names)
    assert await names(path, "c1") == sorted(n for n in all_names if n.startswith("c1"))
    assert await names(path, "c44\udc80") == []


# What another program may do to a channel's row.
DAMAGE = [
    "name = x'61'",
    "name = CAST(x'61ff' AS TEXT)",
    "epoch = '-'",
    "head = 'word'",
    "began = 9",
    "ended = -1",
]


@pytest.mark.parametrize("columns", DAMAGE)
async def test_damaged_rows(path, columns):
    """They are skipped, and the others are listed."""
    async with opened(path) as broker:
        for n in range(3):
            await broker.append(f"a{n}", Event("x"))
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute(f"UPDATE channel SET {columns} WHERE name = 'a1'")

    assert await names(path) == ["a0", "a2"]
    async with inspecting(path) as storage:
        assert await storage.channel("a1") is None
        assert await storage.newest("a1", 1) == []


async def test_the_size(path):
    """Bytes of the data in history, and of what is retained beside it."""
    async with opened(path, retention=Retention(events=1, seconds=60)) as broker:
        await broker.append("a", Event("é" * 50), terms=Terms(retain_as=""))
        await broker.append("a", Event("x" * 7))

        async with broker.inspect() as storage:
            assert (await storage.channel("a")).size_bytes == 107


async def test_a_damaged_time(path):
    """The age of the oldest event is unknown; it counts all the same."""
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
    with contextlib.closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE entry SET published_at = 'now'")

    async with inspecting(path) as storage:
        summary = await storage.channel("a")

    assert (summary.events, summary.oldest_at) == (1, None)


async def test_processes(path):
    """Those that have the file open, without dead ones; nobody is rung."""
    bells = path.with_name(f"{path.name}-bells")

    async def count():
        async with inspecting(path) as storage:
            return await storage.processes()

    async with opened(path), opened(path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
            dead.bind(str(bells / "dead"))
        (bells / "file").touch()
        bell = Doorbell(bells, 0o600)
        assert await count() == 3
        assert select.select([bell], [], [], 0) == ([], [], [])
        assert (bells / "dead").exists()
        bell.close()
    assert await count() == 0
    for left in bells.iterdir():
        left.unlink()
    bells.rmdir()
    assert await count() is None


async def test_by_its_url(path):
    """The command knows nothing else."""
    async with opened(path) as broker:
        await broker.append("a", Event("x"))

    async with inspect_broker(f"sqlite:///{path}") as storage:
        assert await storage.channel("a") is not None


async def test_a_file_that_is_locked(path, monkeypatch):
    """By a program that keeps all others out of it: that may pass."""
    monkeypatch.setattr("heliograph.brokers.sqlite.inspection._LOCK_TIMEOUT_SECONDS", 0)
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(BrokerUnavailableError, match="database is locked"):
            await names(path)
