"""When a request arrived, as middleware has noted it."""

import pytest

from heliograph.faces import noted_arrival


@pytest.mark.parametrize(
    ("environ", "arrived_at"),
    [
        ({}, None),
        ({"heliograph.arrived": 5}, 5),
        ({"heliograph.arrived": "5"}, None),
        ({"heliograph.arrived": None}, None),
    ],
)
def test_noted_arrival(environ, arrived_at):
    """Under a documented key; anything but an int is not a time."""
    assert noted_arrival(environ) == arrived_at
