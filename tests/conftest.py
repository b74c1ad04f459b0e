"""Fixtures for all tests."""

import pytest

import redises
import streams


@pytest.fixture(autouse=True)
def _clients_are_closed():
    yield
    while streams.connections:
        streams.connections.pop().close()


@pytest.fixture(autouse=True, scope="session")
def _servers_are_ended():
    yield
    for process in redises.processes:
        if process.poll() is None:
            process.kill()
            process.wait()
