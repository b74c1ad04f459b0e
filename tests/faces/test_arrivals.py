"""When a request arrived, as middleware has noted it."""

import time

import pytest

from heliograph.faces import Arrivals, noted_arrival


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


def test_arrivals():
    """The middleware notes the time before it calls the application."""
    seen = []

    def application(environ, start_response):
        seen.append((noted_arrival(environ), time.monotonic_ns()))
        return [start_response]

    before = time.monotonic_ns()

    assert Arrivals(application)({}, "start") == ["start"]
    ((arrived_at, after),) = seen
    assert before <= arrived_at <= after


def test_arrivals_that_were_noted_before():
    """What middleware further out has noted stays."""
    environ = {"heliograph.arrived": 5}

    Arrivals(lambda environ, start_response: [])(environ, None)

    assert environ == {"heliograph.arrived": 5}
