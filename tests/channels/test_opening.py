"""The block that tells a client its position."""

import json

import pytest

from heliograph import EventStreamParser
from heliograph.channels.opening import Opening
from heliograph.channels.position import Position, Positions


def positions():
    return Positions({"b": Position("e", 7), "a": Position("e", 2)})


@pytest.mark.parametrize("heartbeat_seconds", [15.0, None])
@pytest.mark.parametrize("resumed", [True, False])
def test_event(resumed, heartbeat_seconds):
    """A page can read its position, and clients keep it."""
    parser = EventStreamParser()

    (event,) = parser.feed(
        Opening(True, heartbeat_seconds).block(positions(), resumed=resumed)
    )

    assert event.type == "heliograph.open"
    assert event.id == parser.last_event_id == positions().id
    assert json.loads(event.data) == {
        "id": positions().id,
        "channels": ["a", "b"],
        "resumed": resumed,
        "heartbeat_seconds": heartbeat_seconds,
    }


def test_id_alone():
    """A client that is cut off before its first event still knows its position."""
    parser = EventStreamParser()

    assert parser.feed(Opening(is_event=False).block(positions(), resumed=False)) == []
    assert parser.last_event_id == positions().id
