"""A connection on the hub's own loop."""

import asyncio
import socket

from heliograph.hub.sinks import SocketSink
from heliograph.wire.framing import Framing
from streams import HEAD, connections, until


async def test_the_life_of_a_connection(client):
    """The head first, then whoever is attached writes; its end is told once, to both."""
    ours, theirs = socket.socketpair()
    connections.append(theirs)
    theirs.setblocking(False)
    ours.setblocking(False)
    closed = []

    def serve(sink):
        sink.attach(client)
        sink.write(b"first")

    sink = SocketSink(HEAD, Framing.IDENTITY, on_open=serve, on_closed=closed.append)
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(lambda: sink, ours)
    data = b""
    while len(data) < len(HEAD + b"first"):
        data += await loop.sock_recv(theirs, 99)
    assert data == HEAD + b"first"
    assert closed == []

    theirs.close()

    await until(lambda: closed)
    assert closed == [sink]
    assert client.lost == 1


async def test_a_connection_that_nobody_attaches_to():
    """It is closed like any other."""
    ours, theirs = socket.socketpair()
    connections.append(theirs)
    theirs.setblocking(False)
    ours.setblocking(False)
    closed = []
    sink = SocketSink(
        HEAD, Framing.IDENTITY, on_open=SocketSink.close, on_closed=closed.append
    )
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(lambda: sink, ours)

    assert await loop.sock_recv(theirs, 99) == HEAD
    assert await loop.sock_recv(theirs, 99) == b""
    await until(lambda: closed)
