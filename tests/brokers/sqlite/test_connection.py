"""A connection opens again by itself, and errors name the file."""

import asyncio
import contextlib
import os
import random
import resource
import signal
import sqlite3
from pathlib import Path

import pytest
from sqlite_files import (
    expect_refused,
    expect_unavailable,
    inode,
    opened,
    read_all,
    run_program,
    spoil,
)

from heliograph import BrokerUnavailableError, ConfigError, Event
from heliograph.brokers.contract import RecordingListener, offsets
from heliograph.brokers.sqlite.broker import SqliteTimings
from heliograph.channels.position import Position


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
    ear = RecordingListener()
    async with opened(path, ear) as broker:
        await broker.listen("a")
        await broker.append("a", Event("lost"))
        await ear.wait_for_entries(1)
        for name in os.listdir(path.parent):
            if name.startswith(f"{path.name}-") or name == path.name:
                with contextlib.suppress(OSError):
                    (path.parent / name).unlink()

        async with opened(path) as other:
            appended = await other.append("a", Event("new life"))
        again = await broker.append("a", Event("same life"))

        assert again.position == Position(appended.position.epoch, 2)
        assert (await ear.wait_for_entries(3))[1:] == [appended, again]


async def test_a_process_that_ends_takes_nothing_away(path):
    """Others that come and go cleanly leave us our log and our locks."""
    ear = RecordingListener()
    async with opened(path, ear) as broker:
        await broker.listen("a")
        for n in range(3):
            mine = await broker.append("a", Event("mine"))
            with run_program("publish.py", path, 20, n, "a") as program:
                program.communicate(timeout=30)
            assert mine.position.offset == 1 + 21 * n
        await ear.wait_for_entries(63)
        assert f":{inode(path)} " in Path("/proc/locks").read_text()  # noqa: ASYNC240 - no file

    assert ear.offsets("a") == list(range(1, 64))
    async with opened(path) as broker:
        entries, _ = await read_all(broker, "a")
    assert len(entries) == 63


async def test_corrupt_file(path):
    """A file that is no database is refused; one that becomes none can be replaced."""
    spoil(path)
    await expect_refused(path, "not a database")
    path.unlink()
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
        spoil(path)

        # Whoever appends is not to wait for something that does not pass.
        with pytest.raises(ConfigError, match="not a database"):
            await broker.append("a", Event("x"))
        for call in (broker.read("a", None, 1), broker.listen("a"), broker.find("a", "x")):
            with pytest.raises(BrokerUnavailableError, match="not a database"):
                await call
        for found in path.parent.glob(f"{path.name}*"):
            if found.is_file():
                found.unlink()

        assert (await broker.append("a", Event("x"))).position.offset == 1


async def test_a_statement_that_is_not_understood(path):
    """It is no failure that passes: as with a library that is too old."""
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("ALTER TABLE entry RENAME TO another")

        with pytest.raises(ConfigError, match=rf"entry.*SQLite {sqlite3.sqlite_version}"):
            await broker.append("a", Event("x"))


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


@pytest.mark.parametrize("name", [b"a?mode=ro#b", b"100%25 \xc3\xa9", b"\xff"])
async def test_any_name(folder, name):
    """A path is no URL to SQLite: no sign in it means anything."""
    path = folder / os.fsdecode(name)

    async with opened(path) as broker:
        await broker.append("a", Event("x"))

    assert path.read_bytes().startswith(b"SQLite")


async def test_missing_folder(tmp_path):
    """A path that cannot be made names itself."""
    path = tmp_path / "missing" / "log"
    async with opened(path) as broker:
        await expect_unavailable(broker, path, ["No such file"])

        path.parent.mkdir()

        assert await broker.append("a", Event("x"))


async def test_locked_database(path):
    """A lock that is not released is an error in the end, and no longer one afterwards."""
    async with opened(path, timings=SqliteTimings(lock_timeout_seconds=0.2)) as broker:
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
