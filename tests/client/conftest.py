"""What several tests of the client use."""

import pytest
from client_reader import BOTH
from scripted import Server


@pytest.fixture(scope="module")
def server():
    """A server of scripts."""
    with Server() as server:
        yield server


@pytest.fixture
def script(server, request):
    """A function that adds a script and returns its URL."""
    return lambda *connections: server.add(request.node.name, connections) + "s"


@pytest.fixture(params=BOTH)
def face(request):
    """Threads, or asyncio."""
    return request.param
