"""A log is a bounded window without a hole, and says so when there would be one."""

import pytest

from heliograph import Event
from heliograph.channels.entry import Entry
from heliograph.channels.log import Appended, ChannelLog, LogItem
from heliograph.channels.position import Position


def item(offset, epoch="e", data="x", at=0.0):
    return LogItem.of(Entry("c", Position(epoch, offset), Event(data), at))


def log(head=0, *, events=10, size=1 << 20, age=1e9):
    return ChannelLog(
        Position("e", head), max_events=events, max_bytes=size, max_age_seconds=age
    )


def offsets(items):
    return [found.entry.position.offset for found in items]


def test_append_and_read():
    """What follows a position is read in order, to the head."""
    recent = log(5)

    assert [recent.append(item(n), 0.0) for n in (6, 7, 8)] == [Appended.NEXT] * 3

    assert recent.head == Position("e", 8)
    assert offsets(recent.after(Position("e", 5))) == [6, 7, 8]
    assert offsets(recent.after(Position("e", 6), 1)) == [7]
    assert recent.after(Position("e", 8)) == []


def test_covers():
    """It covers what it holds, the place before that, and no other life."""
    recent = log(5)
    recent.append(item(6), 0.0)

    covered = [n for n in range(9) if recent.covers(Position("e", n))]

    assert covered == [5, 6]
    assert not recent.covers(Position("f", 6))


def test_known_entries_are_left_out():
    """What was there before is not there twice."""
    recent = log(5)
    recent.append(item(6), 0.0)

    assert recent.append(item(6), 0.0) is Appended.KNOWN
    assert recent.append(item(3), 0.0) is Appended.KNOWN
    assert len(recent) == 1


@pytest.mark.parametrize(
    ("offered", "outcome"),
    [(item(9), Appended.AFTER_HOLE), (item(1, "f"), Appended.NEW_EPOCH)],
)
def test_never_a_hole_inside(offered, outcome):
    """After a hole, or in another life, only what is new is held."""
    recent = log(5)
    recent.append(item(6), 0.0)

    assert recent.append(offered, 0.0) is outcome

    assert len(recent) == 1
    assert recent.head == offered.entry.position
    assert not recent.covers(Position("e", 6))


def test_bounded_by_number():
    """The oldest go first."""
    recent = log(events=3)
    for n in range(1, 8):
        recent.append(item(n), 0.0)

    assert offsets(recent.after(Position("e", 4))) == [5, 6, 7]


def test_bounded_by_bytes():
    """Bytes are counted as they are sent; the newest stays whatever its size."""
    size = len(item(1).body)
    recent = log(size=2 * size)
    for n in range(1, 6):
        recent.append(item(n), 0.0)
    assert len(recent) == 2
    assert recent.held_bytes == 2 * size

    recent.append(item(6, data="x" * 1000), 0.0)

    assert offsets(recent.after(Position("e", 5))) == [6]


def test_bounded_by_age():
    """The caller says what time it is."""
    recent = log(age=10)
    recent.append(item(1, at=100.0), 100.0)
    recent.append(item(2, at=105.0), 105.0)

    recent.trim(111.0)

    assert len(recent) == 1
    recent.trim(1000.0)
    assert len(recent) == 0
    assert recent.covers(Position("e", 2))


def test_a_time_in_the_future():
    """It keeps nothing: the entry is as old as the next one, and stays if there is none."""
    recent = log(age=10)
    recent.append(item(1, at=9999.0), 100.0)
    recent.append(item(2, at=101.0), 101.0)
    recent.append(item(3, at=8888.0), 102.0)

    recent.trim(105.0)
    assert len(recent) == 3
    recent.trim(112.0)
    assert len(recent) == 1
    recent.trim(8000.0)
    assert len(recent) == 1


def test_restart():
    """A log can begin elsewhere."""
    recent = log(5)
    recent.append(item(6), 0.0)

    recent.restart(Position("f", 0))

    assert len(recent) == recent.held_bytes == 0
    assert recent.append(item(1, "f"), 0.0) is Appended.NEXT
