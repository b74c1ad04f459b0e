"""Every listener is given the entries of all processes, in order, once."""

import asyncio
import contextlib
import logging
import random
import sqlite3
import threading
import time

import pytest
from sqlite_files import RETENTION, opened, run_program

from heliograph import Event
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.once import OnceLog
from heliograph.brokers.sqlite.connection import Connection
from heliograph.brokers.sqlite.news import News
from heliograph.brokers.sqlite.restored import HighestSeq
from heliograph.brokers.sqlite.writing import Writer


async def test_two_brokers_share_a_file(path):
    """What one appends the other hears, as if it were its own."""
    ear = RecordingListener()
    async with opened(path, ear) as here, opened(path) as there:
        await here.listen("a")
        one = await there.append("a", Event("there"))
        two = await here.append("a", Event("here"))

        assert await ear.wait_for_entries(2) == [one, two]


async def test_damage_is_logged_once(path, caplog):
    """Another program cannot fill the log with what it writes into the file."""
    ear = RecordingListener()
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
            await ear.wait_for_entries(n + 1)

    lines = [record.message for record in caplog.records]
    assert [line.split(": ")[:2] for line in sorted(lines)] == [
        ["channel 'a'", "skipped damaged entries"],
        ["channel 'b'", "skipped its damaged row, it begins anew"],
    ]


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


@pytest.mark.timeout(240)
def test_four_exchange(path):
    """All that publish and listen at the same time see one order of all channels."""
    events, channels = 2_000, ["a", "b", "c"]
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    programs = [
        run_program("exchange.py", path, events, 4 * events, seed + n, *channels)
        for n in range(4)
    ]
    for program in programs:
        assert program.stdout.readline() == "listening\n"
    for program in programs:
        program.stdin.write("\n")
        program.stdin.flush()

    reports = {program.communicate(timeout=200)[0] for program in programs}

    assert len(reports) == 1, reports
    assert reports.pop().startswith(f"{4 * events} in order, once: ")


async def test_an_own_entry_does_not_wait_for_the_reader(path):
    """It is handed on in the step that commits it, whatever the thread that reads does."""
    ear, release = RecordingListener(), threading.Event()
    async with opened(path, ear) as broker:
        await broker.listen("a")
        reading = asyncio.ensure_future(broker._read_thread.run(release.wait))
        try:
            appended = [await broker.append("a", Event(str(n))) for n in range(40)]
            assert await ear.wait_for_entries(40) == appended
        finally:
            release.set()
            await reading


async def test_nothing_is_handed_on_that_is_no_longer_listened_to(path):
    """Although the thread that reads has not come to it yet."""
    ear, release = RecordingListener(), threading.Event()
    async with opened(path, ear) as broker:
        for name in "ab":
            await broker.listen(name)
        reading = asyncio.ensure_future(broker._read_thread.run(release.wait))
        try:
            broker.unlisten("a")
            for name in "ab":
                await broker.append(name, Event(name))
            assert [entry.channel for entry in await ear.wait_for_entries(1)] == ["b"]
        finally:
            release.set()
            await reading
        head = await broker.listen("a")
        again = await broker.append("a", Event("again"))
        await ear.wait_for_entries(2)

    assert head.offset == 1
    assert ear.entries[1:] == [again]


def test_the_loop_takes_while_the_file_is_read(path):
    """What is read then counts as news, although no more is waiting than before."""
    own, other, reading = (Connection(path) for _ in range(3))
    once = OnceLog(logging.getLogger("heliograph.brokers.sqlite"))
    shared = HighestSeq(path), once
    news, taken = News(reading, *shared), []

    class Loop(logging.Handler):
        def emit(self, record):
            taken.extend(news.take(9))

    news.change([("a", True)])
    ours = Writer(own, RETENTION, time.time, *shared)
    assert news.offer(ours.append([("a", Event("1")), ("a", Event("2"))]))
    theirs = Writer(other, RETENTION, time.time, HighestSeq(path), once)
    theirs.append([("a", Event("damaged")), ("a", Event("3"))])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE entry SET data = x'ff' WHERE data = 'damaged'")
        connection.commit()

    # That it is damaged is logged in the middle of reading: then the loop takes the others.
    log = logging.getLogger("heliograph.brokers.sqlite")
    loop = Loop()
    log.addHandler(loop)
    try:
        assert news.read()
    finally:
        log.removeHandler(loop)

    taken += news.take(9)
    assert [entry.event.data for entry in taken] == ["1", "2", "3"]
    for connection in (own, other, reading):
        connection.close()
