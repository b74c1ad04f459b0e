"""What is asked of a2wsgi, where it behaves otherwise than it does."""

import asyncio
import socket

import pytest

from heliograph import HubConfig
from heliograph.servers.a2wsgi import connection_of


class Body:
    """What a2wsgi gives for a body, as far as it is used."""

    def __init__(self, receive):
        self.receive = receive
        self.loop = asyncio.get_running_loop()


Body.__module__ = "a2wsgi.wsgi"


def client_of(receive):
    return connection_of({"wsgi.input": Body(receive)}, None).adapter


@pytest.mark.parametrize("fails", [True, False])
async def test_the_end_of_a_client(fails, caplog):
    """It has left when the server says so, or can no longer be asked, which is logged."""
    messages = [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive():
        if fails:
            raise RuntimeError("nobody there")
        return messages.pop(0)

    left = asyncio.Event()
    client_of(receive).watch(left.set)
    await left.wait()

    assert fails == bool(messages)
    assert fails == ("cannot ask whether a client has left" in caplog.text)


async def test_a_connection_that_is_seen():
    """It is tuned, and ended, on the server's loop; not after it has been lost."""

    class Cycle(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        async def receive(self):
            return {"type": "http.disconnect"}

    ours, theirs = socket.socketpair()
    transport, cycle = await asyncio.get_running_loop().connect_accepted_socket(Cycle, ours)
    client = client_of(cycle.receive)
    client.tune(HubConfig(send_buffer_bytes=20_000))
    client.abort()
    client.abort()
    with theirs:
        theirs.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(theirs, 9) == b""
    assert transport.is_closing()


async def test_a_loop_that_has_ended():
    """There is nothing left to do."""
    loop = asyncio.new_event_loop()
    body = Body(asyncio.Event().wait)
    body.loop = loop
    client = connection_of({"wsgi.input": body}, None).adapter
    loop.close()

    client.tune(HubConfig())
    client.abort()


async def test_another_adapter():
    """It is not asked."""
    assert connection_of({"wsgi.input": object()}, None) is None
    assert connection_of({"wsgi.input": Body(None)}, None) is None
