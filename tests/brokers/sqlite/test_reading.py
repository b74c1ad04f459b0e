"""History is read in pages."""

import contextlib
import sqlite3

import pytest
from sqlite_files import opened, read_all

from heliograph import Event
from heliograph.brokers.contract import RecordingListener, offsets
from heliograph.channels.position import Position


async def test_pages_are_bounded_by_bytes(path):
    """Large entries come a few at a time, and all of them come."""
    async with opened(path) as broker:
        for n in range(10):
            await broker.append("a", Event(f"{n}" + "x" * 100_000))

        page = await broker.read("a", None, 10)
        entries, _ = await read_all(broker, "a")

        assert len(page.entries) == 3
        assert [entry.position.offset for entry in entries] == list(range(1, 11))


# What another program does to some entries of ten, the offsets of the pages of at most four
# that are left, and the offsets at which gaps end. Add a row, not a test.
DAMAGE = [
    pytest.param(
        "UPDATE entry SET type = x'ff' WHERE offset = 6",
        [1, 2, 3, 4, 5, 7, 8, 9, 10],
        [6],
        id="one",
    ),
    pytest.param(
        "UPDATE entry SET type = x'ff' WHERE offset < 3",
        [3, 4, 5, 6, 7, 8, 9, 10],
        [2],
        id="first",
    ),
    pytest.param(
        "UPDATE entry SET type = x'ff' WHERE offset > 3",
        [1, 2, 3],
        [7, 10],
        id="more-than-a-page",
    ),
    pytest.param("UPDATE entry SET type = x'ff'", [], [4, 8, 10], id="all"),
    pytest.param(
        "DELETE FROM entry WHERE offset IN (5, 6)",
        [1, 2, 3, 4, 7, 8, 9, 10],
        [6],
        id="removed",
    ),
    pytest.param("DELETE FROM entry WHERE offset > 3", [1, 2, 3], [10], id="last-removed"),
    pytest.param(
        "UPDATE entry SET offset = 5.5 WHERE offset = 6",
        [1, 2, 3, 4, 5, 7, 8, 9, 10],
        [6],
        id="moved",
    ),
]


@pytest.mark.parametrize(("statement", "left", "gaps"), DAMAGE)
async def test_damaged_entries(path, statement, left, gaps):
    """They are a gap, and everything else can be read: nobody reads at one for ever."""
    async with opened(path) as broker:
        for n in range(1, 11):
            await broker.append("a", Event(str(n)))
        with contextlib.closing(sqlite3.connect(path)) as other, other:
            other.execute(statement)
        page = await broker.read("a", None, 0)
        found, found_gaps, after = [], [], Position(page.head.epoch, 0)
        while after != page.head:
            page = await broker.read("a", after, 4)
            if page.gap is not None:
                assert page.gap == "trimmed"
                found_gaps.append(page.start.offset)
            numbers = offsets(page)
            first = page.start.offset + 1
            assert numbers == list(range(first, first + len(numbers)))
            found += numbers
            after = page.entries[-1].position if page.entries else page.start

    assert (found, found_gaps) == (left, gaps)


async def test_a_damaged_entry(path, caplog):
    """Listeners and readers are not given it, and are told of the gap."""
    ear = RecordingListener()
    async with opened(path, ear) as broker:
        await broker.listen("a")
        await broker.append("a", Event("1"))
        await ear.wait_for_entries(1)
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("UPDATE channel SET head = 2")
            other.execute(
                "INSERT INTO entry (channel_id, offset, published_at, type, data)"
                " SELECT id, 2, published_at, 'line' || char(10), 'x' FROM channel"
            )
            other.commit()

        await broker.append("a", Event("3"))

        await ear.wait_for_entries(2)
        assert ear.offsets("a") == [1, 3]
        assert offsets(await broker.read("a", None, 9)) == [1]
        rest = await broker.read("a", ear.entries[0].position, 9)
        assert (offsets(rest), rest.start.offset, rest.gap) == ([3], 2, "trimmed")
    assert "channel 'a': skipped damaged entries" in caplog.text
