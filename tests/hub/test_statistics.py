"""Counters that the rooms of a hub share, and a picture of them."""

import dataclasses
import inspect

import pytest

from heliograph.hub.statistics import Counters, HubStatistics

COUNTERS = [field.name for field in dataclasses.fields(Counters)]
HELD = {"subscribers": 7, "channels": 8, "feeds": 9, "broker_available": False}


def test_a_picture():
    """It has every counter as it was, with what the hub holds, and does not move."""
    counters = Counters(**{name: n for n, name in enumerate(COUNTERS, 1)})

    found = counters.statistics(**HELD)
    for name in COUNTERS:
        setattr(counters, name, 0)

    assert dataclasses.asdict(found) == HELD | {
        name: n for n, name in enumerate(COUNTERS, 1)
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.entries = 5


def test_counters_begin_with_the_hub():
    """At zero, each."""
    assert dataclasses.astuple(Counters()) == (0,) * len(COUNTERS)


@pytest.mark.parametrize("kind", [Counters, HubStatistics])
def test_each_field_is_documented(kind):
    """Whoever reads a number finds out what it counts."""
    for field in dataclasses.fields(kind):
        assert f"    {field.name}: " in inspect.getdoc(kind)
