"""What sinks have in common that own a client's connection."""

import asyncio
import os
import socket

import pytest

from heliograph.hub.sinks import ConnectionSink
from heliograph.hub.sinks.sink import PAUSE_BYTES
from streams import connections, read_all, until


@pytest.fixture
async def served():
    """A sink that owns one end of a connection, and the other end."""
    ours, theirs = socket.socketpair()
    connections.append(theirs)
    theirs.setblocking(False)
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sink = ConnectionSink(close_seconds=0.5)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(lambda: sink, ours)
    sink.take(transport)
    yield sink, theirs
    sink.abort()
    await until(lambda: sink._is_lost)


def fill(sink):
    """Write until the client is slower than that."""
    written = b""
    while not sink.paused:
        sink.write(b"x" * 50_000)
        written += b"x" * 50_000
    return written


async def test_pausing(served, client):
    """Beyond some bytes it is paused, still takes more, and resumes when they have gone."""
    sink, theirs = served
    sink.attach(client)
    written = fill(sink)
    sink.write(b"y")
    assert sink.unsent_bytes > PAUSE_BYTES

    loop, data = asyncio.get_running_loop(), b""
    while not client.resumed:
        data += await loop.sock_recv(theirs, 1 << 20)
    assert not sink.paused
    while len(data) <= len(written):
        data += await loop.sock_recv(theirs, 1 << 20)

    assert data == written + b"y"
    assert (sink.unsent_bytes, client.resumed, client.lost) == (0, 1, 0)


async def test_closing(served, client):
    """What was written arrives before the end, however slow the client; then it is lost."""
    sink, theirs = served
    sink.attach(client)
    written = fill(sink)

    sink.close()

    assert await read_all(theirs) == (written, True)
    await until(lambda: client.lost)
    assert sink._aborting.cancelled()


async def test_closing_for_a_client_that_takes_nothing(served, client):
    """It has some time, and then its connection is aborted."""
    sink, _ = served
    sink.attach(client)
    fill(sink)

    sink.close()

    await until(lambda: client.lost)


async def test_aborting(served, client):
    """What was written and not taken is dropped; a second time is none."""
    sink, theirs = served
    sink.attach(client)
    written = fill(sink)

    sink.abort()
    await until(lambda: client.lost)
    sink.abort()

    data, _ = await read_all(theirs)
    assert len(data) < len(written)
    assert (client.lost, sink.unsent_bytes) == (1, 0)


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_ending_although_a_child_has_a_copy(served, client, how):
    """The client sees the end at once, and not when a forked child closes its descriptor."""
    sink, theirs = served
    sink.attach(client)
    copy = os.dup(sink._transport.get_extra_info("socket").fileno())
    sink.write(b"x")

    getattr(sink, how)()

    assert await read_all(theirs) == (b"x", True)
    os.close(copy)


async def test_a_number_that_is_used_again(served, client):
    """No later connection with the number of the one that was taken is ended."""
    sink, theirs = served
    sink.attach(client)
    copy = socket.socket(fileno=os.dup(sink._transport.get_extra_info("socket").fileno()))
    sink._identity -= 1  # of a connection that is closed

    sink.abort()
    await until(lambda: client.lost)

    with copy:
        copy.send(b"still open")
    assert await read_all(theirs) == (b"still open", True)


@pytest.mark.parametrize("how", ["close", "half"])
async def test_a_client_that_leaves(served, client, how):
    """It is lost at once, also if it only closes its half while it is paused."""
    sink, theirs = served
    sink.attach(client)
    fill(sink)

    if how == "close":
        theirs.close()
    else:
        theirs.shutdown(socket.SHUT_WR)

    await until(lambda: client.lost)
    assert sink.unsent_bytes == 0


async def test_a_client_that_left_before_anybody_was_attached(served, client):
    """Whoever is attached then is told, in the same step."""
    sink, theirs = served
    theirs.close()
    await until(lambda: sink._is_lost)

    sink.attach(client)

    assert client.lost == 1
    sink.close()
    assert sink._aborting is None


async def test_what_a_client_sends(served, client):
    """It is ignored: a client of a stream has nothing to say."""
    sink, theirs = served
    sink.attach(client)
    theirs.send(b"GET / HTTP/1.1\r\n\r\n")
    sink.write(b"x")

    assert await asyncio.get_running_loop().sock_recv(theirs, 99) == b"x"
    assert client.lost == 0


@pytest.mark.parametrize(("first", "second", "kept"), [(600, 5, 5), (5, 600, 5)])
async def test_the_shorter_time_to_take_the_rest(served, first, second, kept):
    """A server that stops gives less time than a stream that finishes, whichever is first."""
    sink, _ = served

    sink._abort_in(first)
    sink._abort_in(second)

    loop = asyncio.get_running_loop()
    assert sink._aborting.when() <= loop.time() + kept


async def test_aborting_before_there_is_a_transport():
    """The hub may be closed while the loop still takes the connection."""
    ConnectionSink().abort()
