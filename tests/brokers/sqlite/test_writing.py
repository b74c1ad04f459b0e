"""What was published is stored, and what is too old is removed."""

import asyncio
import contextlib
import signal
import sqlite3

import pytest
from sqlite_files import opened, read_all, run_program

from heliograph import Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import ManualClock, offsets


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


@pytest.mark.parametrize("is_old", [False, True])
async def test_the_file_shrinks_after_a_burst(path, is_old):
    """Some space is kept for what comes next; files of former versions stay as they are."""
    if is_old:
        async with opened(path):
            pass
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA journal_mode = DELETE")
            other.execute("PRAGMA auto_vacuum = NONE")
            other.execute("VACUUM")
    clock = ManualClock()
    retention = Retention(events=10_000, seconds=10)
    async with opened(path, retention=retention, clock=clock) as broker:
        burst = (broker.append("a", Event("x" * 3000)) for _ in range(4000))
        await asyncio.gather(*burst)
        clock.now += 11
        kept = await broker.append("a", Event("kept"))
        rounds = 0
        while await broker._write_thread.run(broker._sweeper.sweep):
            rounds += 1
        assert (await broker.read("a", None, 9)).entries == (kept,)
    size = path.stat().st_size

    if is_old:
        assert size > 12_000_000
    else:
        # Some pages at a time, so that nobody waits long.
        assert rounds > 10
        assert size < 3_000_000
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_sweep_without_publishing(path):
    """Old events go, and channels long silent are forgotten, without one being published."""
    clock = ManualClock()
    async with opened(
        path, retention=Retention(events=9, seconds=10), clock=clock
    ) as broker:
        old = await broker.append("a", Event("x"))
        clock.now += 11
        await broker._write_thread.run(broker._sweeper.sweep)
        assert offsets(await broker.read("a", None, 9)) == []
        assert (await broker.read("a", None, 9)).head == old.position

        clock.now += 31 * 86_400
        await broker._write_thread.run(broker._sweeper.sweep)

        history = await broker.read("a", old.position, 9)
        assert (history.gap, history.head.offset) == ("epoch", 0)


# What a clock that should show 1,000,000 shows for each event, with a history of ten seconds,
# and the events that are left some seconds later. Add a row, not a test.
TIMES = {
    "right": ([0, 1, 2, 8], 13, [4]),
    "future": ([1e8, 1, 2, 8], 13, [4]),
    "future-last": ([1, 1e8, 8], 13, [2, 3]),
    "only-future": ([1e8, 1e8], 13, [1, 2]),
    "many-from-the-future": ([1e8] * 500 + [1], 13, []),
    "past-for-a-moment": ([5, -1e5, 6], 13, [1, 2, 3]),
    "past-first": ([-1e5, 6], 13, [2]),
    "back-for-good": ([0, 1, -1e5, -1e5 + 8], -1e5 + 13, [4]),
}


@pytest.mark.parametrize(("times", "now", "left"), TIMES.values(), ids=TIMES.keys())
@pytest.mark.parametrize("channels", ["a", "ab"])
async def test_clocks_that_were_wrong(path, times, now, left, channels):
    """One event with a wrong time keeps nothing too old, and removes nothing that is not."""
    clock = ManualClock()
    start = clock.now
    retention = Retention(events=1_000, seconds=10)
    async with opened(path, retention=retention, clock=clock) as broker:
        entries = []
        for number, seconds in enumerate(times):
            clock.now = start + seconds
            channel = channels[number % len(channels)]
            entries.append(await broker.append(channel, Event("x")))
        clock.now = start + now
        await broker._write_thread.run(broker._sweeper.sweep)

        kept = [
            e for name in channels for e in (await broker.read(name, None, 999)).entries
        ]

    numbers = sorted(entries.index(entry) + 1 for entry in kept)
    assert numbers == left


async def test_nothing_follows_a_time_in_the_future(path):
    """Its event is removed as old as the moment in which the wrong time was noticed."""
    clock = ManualClock()
    start, left = clock.now, []
    retention = Retention(events=1_000, seconds=10)
    async with opened(path, retention=retention, clock=clock) as broker:
        clock.now = start + 1e8
        await broker.append("a", Event("x"))
        for seconds in (0, 9, 11, 12):
            clock.now = start + seconds
            await broker._write_thread.run(broker._sweeper.sweep)
            left.append(len((await broker.read("a", None, 9)).entries))

    assert left == [1, 1, 0, 0]


async def test_a_large_sweep_leaves_room_for_others(path):
    """Old events are removed some at a time."""
    clock = ManualClock()
    async with opened(
        path, retention=Retention(events=100_000, seconds=10), clock=clock
    ) as broker:
        await asyncio.gather(*(broker.append("a", Event("x")) for _ in range(5000)))
        clock.now += 60

        rounds = 0
        while await broker._write_thread.run(broker._sweeper.sweep):
            rounds += 1

        assert rounds == 2
        assert (await broker.read("a", None, 1)).entries == ()


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
