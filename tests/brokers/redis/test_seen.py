"""Of each channel the last known position is kept, for a bounded number of channels."""

import pytest

from heliograph import Event
from heliograph.brokers.redis.seen import LastSeen, Seen
from heliograph.brokers.redis.values import Stored
from heliograph.channels.entry import Entry
from heliograph.channels.position import Position


def seen(epoch, offset):
    return Seen(Position(epoch, offset), "t", "10")


# Known, added, what is known then. Add a row, not a test.
ADDED = [
    pytest.param(seen("e", 1), seen("e", 2), seen("e", 2), id="later"),
    pytest.param(seen("e", 2), seen("e", 1), seen("e", 2), id="earlier"),
    pytest.param(seen("e", 2), seen("f", 1), seen("f", 1), id="another-life"),
    pytest.param(seen("e", 2), seen("f", 0), seen("e", 2), id="no-entry"),
]


@pytest.mark.parametrize(("known", "added", "expected"), ADDED)
def test_add(known, added, expected):
    """The later position of one life stays."""
    last = LastSeen()
    last.add("a", known)

    last.add("a", added)

    assert last.get("a") == expected


def test_channels_are_bounded():
    """The channels that were not used for longest are forgotten."""
    last = LastSeen()
    for n in range(10_000):
        last.add(f"c{n}", seen("e", 1))
    last.add("c0", seen("e", 1))

    last.add("new", seen("e", 1))

    assert len(last.channels) == 10_000
    assert last.get("c1") is None
    assert last.channels[-2:] == ("c0", "new")


# Offset, time and token of an entry, whether it replaces what was seen at offset 5. Add a
# row, not a test.
ENTRIES = [
    pytest.param(5, 10, "t", False, id="the-same"),
    pytest.param(5, 10, "u", True, id="another-token"),
    pytest.param(4, 10, "u", False, id="before"),
    pytest.param(4, 11, "u", True, id="published-later"),
]


@pytest.mark.parametrize(("offset", "at", "token", "expected"), ENTRIES)
def test_is_outlived_by(offset, at, token, expected):
    """An offset that is assigned a second time is noticed."""
    stored = Stored(Entry("a", Position("e", offset), Event("x"), at), token)

    assert seen("e", 5).is_outlived_by(stored) is expected
    # Whatever somebody else has written as a time.
    assert seen("e", 5)._replace(at="word").is_outlived_by(stored)
