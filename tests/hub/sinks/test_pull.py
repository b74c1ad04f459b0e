"""Bytes for a thread of the server."""

import asyncio
import math
import os
import socket
import threading

import pytest

from heliograph.hub.sinks import PullSink
from heliograph.hub.sinks.sink import PAUSE_BYTES
from streams import until


@pytest.fixture
def posted():
    return []


@pytest.fixture
def sink(posted):
    sink = PullSink(post=posted.append, descriptor=None, close_seconds=0.0)
    yield sink
    sink.release()


def test_pulling(sink):
    """What was written meanwhile comes at once and joined; after a time without, nothing."""
    sink.write(b"a")
    sink.write(b"b")
    assert sink.unsent_bytes == 2

    assert sink.pull(0.0) == b"ab"

    assert sink.unsent_bytes == 0
    assert sink.pull(0.0) == b""
    assert sink.pull(0.01) == b""


def test_waking_a_thread(sink):
    """One that waits without an end is woken by the first bytes."""
    pulled = []
    thread = threading.Thread(target=lambda: pulled.append(sink.pull(math.inf)))
    thread.start()

    sink.write(b"x")

    thread.join(10)
    assert pulled == [b"x"]


def test_pausing(sink, posted, client):
    """Beyond some bytes it is paused; the hub's loop is told when they are taken."""
    sink.attach(client)
    sink.write(b"x" * PAUSE_BYTES)
    assert not sink.paused
    sink.write(b"y")
    assert sink.paused

    assert len(sink.pull(0.0)) == PAUSE_BYTES + 1

    assert not sink.paused
    assert posted == [client.on_resumed]
    assert client.resumed == 0  # not in this thread


def test_asking_for_a_heartbeat(sink, posted, client):
    """The hub's loop is asked, once there is somebody who could write one."""
    sink.ask_for_heartbeat()
    assert posted == []
    sink.attach(client)

    sink.ask_for_heartbeat()

    assert posted == [client.on_silent]
    assert client.silent == 0  # not in this thread


def test_more_wakes_than_a_pipe_holds(sink):
    """None is waited for, and nothing is lost."""
    for _ in range(100_000):
        sink.write(b"x")

    assert len(sink.pull(0.0)) == 100_000


async def test_closing(sink):
    """What was written is pulled before the end."""
    sink.write(b"last")

    sink.close()
    sink.write(b"too late")

    assert [sink.pull(math.inf) for _ in range(3)] == [b"last", None, None]


async def test_closing_for_a_thread_that_takes_nothing(sink):
    """It has some time, and what it has not taken then is dropped."""
    sink.write(b"last")
    sink.close()
    await asyncio.sleep(0.001)
    await until(lambda: not sink._chunks)

    assert sink.pull(math.inf) is None


@pytest.fixture
def connection():
    """The server's end of a connection, and the client's."""
    server, client = socket.socketpair()
    client.settimeout(10)
    with server, client:
        yield server, client


def test_aborting(connection):
    """The connection is ended, also for a thread that sends; so is whatever else leads to it."""
    server, client = connection
    aborted = []
    sink = PullSink(
        post=None, descriptor=server.fileno(), on_aborted=lambda: aborted.append(True)
    )
    sink.write(b"dropped")

    sink.abort()

    assert sink.pull(math.inf) is None
    assert client.recv(99) == b""
    assert aborted == [True]
    assert sink.unsent_bytes == 0
    sink.release()


def test_a_client_that_leaves(connection):
    """A thread that waits without an end is told."""
    server, client = connection
    sink = PullSink(post=None, descriptor=server.fileno())
    leaving = threading.Timer(0.05, client.close)
    leaving.start()

    assert sink.pull(math.inf) is None

    leaving.join()
    sink.release()


def test_what_a_client_sends(connection):
    """It neither wakes nor ends the stream: it may be the next request."""
    server, client = connection
    sink = PullSink(post=None, descriptor=server.fileno())
    client.send(b"GET / HTTP/1.1\r\n\r\n")

    assert sink.pull(0.01) == b""

    sink.release()


@pytest.mark.parametrize("end", ["abort", "write"])
def test_after_it_was_released(connection, end):
    """The connection is the server's again, perhaps with another request; no pipe is left."""
    server, client = connection
    aborted = []
    sink = PullSink(
        post=None, descriptor=server.fileno(), on_aborted=lambda: aborted.append(True)
    )
    sink.release()
    sink.release()

    if end == "abort":
        sink.abort()
    else:
        sink.write(b"x")

    server.send(b"next response")
    assert client.recv(99) == b"next response"
    assert aborted == []
    assert sink.unsent_bytes == 0
    assert (sink._wake_reader, sink._wake_writer) == (-1, -1)


def test_a_descriptor_that_is_another_connections_by_now(connection):
    """The server has closed its own without saying so: nobody else's is ended."""
    number = connection[0].fileno()
    sink = PullSink(post=None, descriptor=number)
    other, others_client = socket.socketpair()
    with other, others_client:
        os.dup2(other.fileno(), number)

        sink.abort()

        other.send(b"still there")
        assert others_client.recv(99) == b"still there"
    sink.release()


def test_releasing_in_a_forked_child(sink):
    """The thread that held the lock at the moment of the fork is not there."""
    held, done = threading.Event(), threading.Event()

    def hold():
        with sink._lock:
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    sink._process = -1

    sink.release()

    assert sink._wake_reader == -1
    done.set()
    thread.join()
