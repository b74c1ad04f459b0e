"""An event in its channel, and the id after it."""

import dataclasses

import pytest

from heliograph import Event
from heliograph.channels.entry import Entry, id_after
from heliograph.channels.position import Position, Positions


def entry(channel, offset, **fields):
    return Entry(channel, Position("e", offset), Event("x", **fields), 0.0)


def test_an_entry_is_a_value():
    """Equal if its fields are, and frozen."""
    one = entry("a", 1)

    assert one == entry("a", 1) != entry("a", 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.channel = "b"


# (entries of one publish, the channels of the stream and what its id says, or the id itself).
IDS = [
    pytest.param([entry("a", 1)], {"a": 1}, id="one-channel"),
    pytest.param([entry("b", 2), entry("a", 1)], {"a": 1, "b": 2}, id="several-channels"),
    pytest.param([entry("a", 1, id="mine")], "mine", id="own-id"),
    pytest.param(
        [entry("a", 1, id="mine"), entry("b", 2, id="mine")],
        {"a": 1, "b": 2},
        id="own-id-in-several-channels",
    ),
    pytest.param([entry("a", 1, id="")], "", id="empty-own-id"),
]


@pytest.mark.parametrize(("entries", "expected"), IDS)
def test_the_id_after_an_event(entries, expected):
    """A stream of just these channels resumes by it after the event."""
    found = id_after(entries)

    if isinstance(expected, str):
        assert found == expected
        return
    assert Positions.parse(found, tuple(expected)) == Positions(
        {name: Position("e", offset) for name, offset in expected.items()}
    )
