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
from heliograph.brokers import Retention
from heliograph.brokers.contract import ManualClock, RecordingListener
from heliograph.brokers.once import OnceLog
from heliograph.brokers.sqlite.connection import Connection
from heliograph.brokers.sqlite.news import News
from heliograph.brokers.sqlite.restored import HighestSeq
from heliograph.brokers.sqlite.writing import Writer
from heliograph.brokers.values import PLAIN, Terms
from heliograph.channels.position import Position


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
    assert news.offer(ours.append([("a", Event(word), PLAIN) for word in "12"]))
    theirs = Writer(other, RETENTION, time.time, HighestSeq(path), once)
    theirs.append([("a", Event(word), PLAIN) for word in ("damaged", "3")])
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


async def sweep(broker):
    """As once a minute."""
    while await broker._write_thread.run(broker._sweeper.sweep):
        pass
    await broker._read_thread.run(broker._news.read_forgotten)
    broker._arrived.set()


BRIEF = Retention(events=9, seconds=60, forget_seconds=60)


@pytest.mark.parametrize("publisher", [0, 1])
async def test_forgetting_is_no_gap_for_those_who_wait(path, publisher):
    """A quiet channel begins where its listeners are, although others were forgotten since."""
    ears, clock = [RecordingListener(), RecordingListener()], ManualClock()
    async with (
        opened(path, ears[0], BRIEF, clock=clock) as here,
        opened(path, ears[1], BRIEF, clock=clock) as there,
    ):
        starts = [await broker.listen("quiet") for broker in (here, there)]
        for _ in range(3):
            await there.append("job", Event("x", type="t"))
            clock.now += 1_000
            await sweep(here)

        entry = await (here, there)[publisher].append("quiet", Event("x"))

        for ear, start in zip(ears, starts, strict=True):
            assert await ear.wait_for_entries(1) == [entry]
            assert ear.restarts == []
            # Before the entry, which would be a gap without it.
            renamed = ("quiet", Position(entry.position.epoch, 0), False)
            assert ear.renamed == [renamed]
            assert start.epoch != entry.position.epoch


@pytest.mark.parametrize("is_known", [True, False])
async def test_an_ended_channel_that_is_forgotten(path, is_known):
    """All that listen are told; also whether they may have missed something."""
    ears, clock = [RecordingListener(), RecordingListener()], ManualClock()
    async with (
        opened(path, ears[0], BRIEF, clock=clock) as here,
        opened(path, ears[1], BRIEF, clock=clock) as there,
    ):
        for broker in (here, there):
            await broker.listen("job")
        await here.append("job", Event("x"), terms=Terms(is_end=True))
        for ear in ears:
            await ear.wait_for_entries(1)
        holding, release = threading.Event(), threading.Event()

        def hold():
            holding.set()
            release.wait()

        held = asyncio.ensure_future(there._read_thread.run(hold))
        await asyncio.to_thread(holding.wait)
        if not is_known:
            await here.begin("job")
            await here.append("job", Event("missed"), terms=Terms(is_end=True))
        clock.now += 1_000
        await sweep(here)
        looking = asyncio.ensure_future(there._read_thread.run(there._news.read_forgotten))
        release.set()
        await held
        await looking
        there._arrived.set()

        again = await here.append("job", Event("again"))

        for ear in ears:
            while again not in ear.entries:
                await asyncio.sleep(0.01)
        start = ("job", Position(again.position.epoch, 0))
        assert ears[0].renamed == [(*start, False)]
        assert ears[0].restarts == []
        told = ears[1].renamed if is_known else ears[1].restarts
        assert told == [(*start, not is_known)]
        assert (await there.read("job", again.position, 9)).gap is None


async def test_a_begun_channel_is_not_taken_for_a_forgotten_one(path):
    """Whoever listens is told nothing, since nothing is missing."""
    ear, clock = RecordingListener(), ManualClock()
    async with opened(path, ear, BRIEF, clock=clock) as broker:
        await broker.append("job", Event("x"), terms=Terms(is_end=True))
        await broker.listen("job")
        clock.now += 1
        await broker.begin("job")
        clock.now += 60
        await sweep(broker)
        entry = await broker.append("job", Event("y"))

        assert await ear.wait_for_entries(1) == [entry]
    assert ear.states == [("job", True, False)]
    assert (ear.restarts, ear.renamed) == ([], [])
