"""A connection that belongs to the hub, by its descriptor."""

import asyncio
import os
import select
import socket

import pytest

from heliograph.hub.sinks import DescriptorSink
from heliograph.hub.sinks import descriptor as module
from heliograph.hub.sinks.sink import PAUSE_BYTES
from heliograph.hub.sinks.watch import EpollWatch, LoopWatch
from heliograph.wire.framing import Framing
from streams import HEAD, connections, read_all, until

WATCHES = {
    "epoll": lambda loop: EpollWatch(loop, select.epoll()),
    "loop": LoopWatch,
}


class Keeper:
    """Keeps one sink."""

    close_seconds = 0.5
    stop_seconds = None

    def __init__(self, watch):
        self.watch = watch
        self.closed = []

    def on_closed(self, sink):
        self.closed.append(sink)


@pytest.fixture(params=WATCHES)
async def keeper(request):
    keeper = Keeper(WATCHES[request.param](asyncio.get_running_loop()))
    yield keeper
    for sink in tuple(keeper.watch.sinks.values()):
        sink.abort()
    keeper.watch.close()


@pytest.fixture(params=["send", "write"])
def system(request, monkeypatch):
    """Where ctypes has no ``send``, what the standard library has is used."""
    if request.param == "write":
        monkeypatch.setattr(module, "_send", lambda *_: -1)


@pytest.fixture
def served(keeper, system):
    """A sink that owns one end of a connection, and the other end."""
    return serve(keeper)


def serve(keeper, head=b"", *, send_buffer=4096):
    ours, theirs = socket.socketpair()
    connections.append(theirs)
    theirs.setblocking(False)
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    number = ours.detach()
    sink = DescriptorSink(number, Framing.IDENTITY, keeper, head)
    keeper.watch.add(number, sink)
    return sink, theirs


def fill(sink):
    """Write until the client is slower than that."""
    written = b""
    while not sink.paused:
        piece = bytes([len(written) // 50_000]) * 50_000
        sink.write(piece)
        written += piece
    return written


async def test_the_head(keeper, client):
    """It is sent with the first bytes that are written, or when it is asked for."""
    sink, theirs = serve(keeper, HEAD)
    sink.attach(client)
    sink.write(b"first")
    sink.write(b"second")
    sink.send_head()
    assert theirs.recv(999) == HEAD + b"firstsecond"

    other, theirs = serve(keeper, HEAD)
    other.send_head()
    assert theirs.recv(999) == HEAD
    other.close()
    assert theirs.recv(999) == b""
    assert keeper.closed == [other]


async def test_much_at_once(keeper, client):
    """A head with more than is ever held is no reason to pause if the kernel takes it."""
    sink, theirs = serve(keeper, HEAD, send_buffer=1 << 20)
    sink.attach(client)
    sink.write(b"x" * (PAUSE_BYTES + 1))
    assert (sink.paused, sink.unsent_bytes) == (False, 0)
    sink.close()
    assert await read_all(theirs) == (HEAD + b"x" * (PAUSE_BYTES + 1), True)


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
    assert sink.unsent_bytes <= PAUSE_BYTES // 4
    while len(data) <= len(written):
        data += await loop.sock_recv(theirs, 1 << 20)

    assert data == written + b"y"
    assert (sink.unsent_bytes, client.resumed, client.lost) == (0, 1, 0)
    sink.write(b"next")
    assert await loop.sock_recv(theirs, 99) == b"next"


async def test_many_pieces_at_a_time(served, client):
    """More than a system call takes arrive in order."""
    sink, theirs = served
    sink.attach(client)
    written = fill(sink)
    for n in range(300):
        piece = b"%04d" % n * 500
        sink.write(piece)
        written += piece
    sink.close()
    assert await read_all(theirs) == (written, True)


async def test_what_is_held_for_many_is_not_copied(served):
    """A client that is behind costs a reference."""
    sink, _ = served
    data = bytes(200_000)
    sink.write(data)
    assert [piece.obj is data for piece in sink._unsent] == [True]


async def test_closing(served, client, keeper):
    """What was written arrives before the end, however slow the client; then it is lost."""
    sink, theirs = served
    sink.attach(client)
    written = fill(sink)

    sink.close()
    sink.close()

    assert await read_all(theirs) == (written, True)
    await until(lambda: client.lost)
    assert sink._aborting.cancelled()
    assert keeper.closed == [sink]
    assert not keeper.watch.sinks


async def test_closing_for_a_client_that_takes_nothing(served, client):
    """It has some time, and then its connection is aborted."""
    sink, _ = served
    sink.attach(client)
    fill(sink)

    sink.close()
    await asyncio.sleep(0)
    assert not client.lost

    await until(lambda: client.lost)


async def test_aborting(served, client, keeper):
    """What was written and not taken is dropped; a second time is none."""
    sink, theirs = served
    sink.attach(client)
    written = fill(sink)

    sink.abort()
    sink.abort()
    await until(lambda: client.lost)

    data, _ = await read_all(theirs)
    assert len(data) < len(written)
    assert (client.lost, sink.unsent_bytes, keeper.closed) == (1, 0, [sink])
    sink.write(b"to nobody")
    sink.close()
    assert (client.lost, keeper.closed) == (1, [sink])


async def test_a_number_that_is_used_again(served, client):
    """What is done to a sink that was closed does nothing to the next with its number."""
    sink, _ = served
    number = sink._number
    sink.abort()
    ours, theirs = socket.socketpair()
    connections.extend([ours, theirs])
    if ours.fileno() != number:
        os.dup2(ours.fileno(), number)
        ours = socket.socket(fileno=number)
        connections.append(ours)

    sink.write(b"wrong")
    sink.abort()

    ours.send(b"right")
    assert theirs.recv(99) == b"right"


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_ending_although_a_child_has_a_copy(served, client, how):
    """The client sees the end at once, and not when a forked child closes its descriptor."""
    sink, theirs = served
    sink.attach(client)
    copy = os.dup(sink._number)
    sink.write(b"x")

    getattr(sink, how)()

    assert await read_all(theirs) == (b"x", True)
    os.close(copy)


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("how", ["close", "half", "reset"])
async def test_a_client_that_leaves(served, client, keeper, how, is_full):
    """It is lost at once, also if it only closes its half while it is paused."""
    sink, theirs = served
    sink.attach(client)
    if is_full:
        fill(sink)

    if how == "half":
        theirs.shutdown(socket.SHUT_WR)
    else:
        if how == "reset":
            theirs.send(b"what nobody has read")
        theirs.close()

    await until(lambda: client.lost)
    assert keeper.closed == [sink]


async def test_a_client_that_has_left_before_it_is_written_to(served, client, keeper):
    """The write finds out, and says so in the next turn: others are being written to."""
    sink, theirs = served
    sink.attach(client)
    theirs.close()

    sink.write(b"x")

    assert (client.lost, keeper.closed) == (0, [sink])
    await asyncio.sleep(0)
    assert client.lost == 1


async def test_attaching_to_a_client_that_has_left(served, client):
    """It is told at once."""
    sink, theirs = served
    theirs.close()
    await until(lambda: sink._number < 0)
    sink.attach(client)
    assert client.lost == 1


async def test_what_a_client_sends_is_dropped(served, client):
    """However much it is: otherwise the kernel could not tell that it has left."""
    sink, theirs = served
    sink.attach(client)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(theirs, bytes(1 << 20))
    sink.write(b"x")
    assert await loop.sock_recv(theirs, 9) == b"x"
    assert not client.lost


@pytest.mark.parametrize("first", ["attach", "stop"])
async def test_a_server_that_stops(keeper, client, first):
    """The client is finished, and has so long to take the rest."""
    sink, _ = serve(keeper)
    fill(sink)
    if first == "attach":
        sink.attach(client)
    keeper.stop_seconds = 0.01
    sink.stop()
    if first == "stop":
        sink.attach(client)
    assert client.finished == 1
    await until(lambda: client.lost)


async def test_many_that_leave_at_once(keeper):
    """More than are told in one turn of the loop."""
    pairs = [serve(keeper) for _ in range(300)]
    for _, theirs in pairs:
        theirs.close()
    await until(lambda: len(keeper.closed) == 300)
    assert {sink for sink, _ in pairs} == {*keeper.closed}
