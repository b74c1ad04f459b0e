"""What one stream is made of."""

import itertools

from heliograph.channels.selection import Selection
from heliograph.wire.coding import Coding
from heliograph.wire.framing import Framing

DIFFERENT = [
    Selection(channels, framing, coding)
    for channels, framing, coding in itertools.product(
        [("a",), ("b",), ("a", "b")], Framing, Coding
    )
]


def test_selections_of_equal_parts_share_a_feed():
    """They are one key of a dictionary."""
    one, other = Selection(("a", "b"), Framing.CHUNKED), Selection(("a", "b"))

    assert one != other
    assert one == other._replace(framing=Framing.CHUNKED)
    assert {one: "feed"}[other._replace(framing=Framing.CHUNKED)] == "feed"


def test_selections_that_differ_in_one_part():
    """They share nothing."""
    assert len(set(DIFFERENT)) == len(DIFFERENT) > 5


def test_what_is_not_named():
    """Blocks are sent as they are encoded."""
    assert Selection(("a",)) == Selection(("a",), Framing.IDENTITY, Coding.IDENTITY)
