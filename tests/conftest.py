"""Fixtures for all tests."""

import pytest

import streams


@pytest.fixture(autouse=True)
def _clients_are_closed():
    yield
    while streams.connections:
        streams.connections.pop().close()
