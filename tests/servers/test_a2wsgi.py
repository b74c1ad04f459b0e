"""What is asked of a2wsgi, where it behaves otherwise than it does."""

import asyncio

import pytest

from heliograph.servers.a2wsgi import connection_of


class Body:
    """What a2wsgi gives for a body, as far as it is used."""

    def __init__(self, receive):
        self.receive = receive
        self.loop = asyncio.get_running_loop()


Body.__module__ = "a2wsgi.wsgi"


@pytest.mark.parametrize("fails", [True, False])
async def test_the_end_of_a_client(fails):
    """It has left when the server says so, or can no longer be asked."""

    async def receive():
        if fails:
            raise RuntimeError("nobody there")
        return {"type": "http.disconnect"}

    left = asyncio.Event()
    connection_of({"wsgi.input": Body(receive)}).watch(left.set)
    await left.wait()


async def test_another_adapter():
    """It is not asked."""
    assert connection_of({"wsgi.input": object()}) is None
    assert connection_of({"wsgi.input": Body(None)}) is None
