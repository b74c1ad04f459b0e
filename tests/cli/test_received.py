"""Which channel an event came from, and what a terminal is shown."""

import pytest

from heliograph.channels.position import Position, Positions
from heliograph.cli.output import visible
from heliograph.cli.received import channel_between


def id_of(a, b, /, **replayed):
    positions = Positions({"a": Position("e", a), "b": Position("e", b)})
    for channel, offset in replayed.items():
        positions.replay(channel, offset)
    return positions.id


# (id before, id after, channels, the channel of the event)
BETWEEN = [
    pytest.param(id_of(1, 1), id_of(1, 2), ("a", "b"), "b", id="one-has-moved"),
    pytest.param(id_of(1, 1), id_of(2, 2), ("a", "b"), None, id="a-gap-moves-both"),
    pytest.param(id_of(1, 1), id_of(1, 1), ("a", "b"), None, id="none-has-moved"),
    pytest.param(id_of(3, 1, a=0), id_of(3, 1, a=2), ("a", "b"), "a", id="retained"),
    pytest.param("", id_of(1, 2), ("a", "b"), None, id="nothing-before"),
    pytest.param("7", "8", ("a", "b"), None, id="another-server"),
    pytest.param("7", "8", ("a",), "a", id="of-one-channel-always"),
    pytest.param(id_of(1, 1), id_of(1, 2), (), None, id="channels-unknown"),
]


@pytest.mark.parametrize(("before", "after", "channels", "expected"), BETWEEN)
def test_channel_between(before, after, channels, expected):
    """The ids tell it, if one position differs; otherwise nothing is guessed."""
    assert channel_between(before, after, channels) == expected


# What is shown of a text.
SHOWN = [
    ("tab\tand line\nend ✓ é", "tab\tand line\nend ✓ é"),
    ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
    ("over\rwritten\x08\x00\x7f", "over\\x0dwritten\\x08\\x00\\x7f"),
    # Some terminals obey the 8-bit forms, too.
    ("\x9b31m\x85", "\\x9b31m\\x85"),
    # Hebrew stays as it is; what would turn around the rest of the line does not.
    ("שלום \u202eexe.txt\u2066", "שלום \\u202eexe.txt\\u2066"),
]


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_visible(text, shown):
    """No character that is left controls a terminal."""
    assert visible(text) == shown
