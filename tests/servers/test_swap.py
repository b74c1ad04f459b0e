"""The swap of descriptors: what the hub gets, and what the server still sees."""

import os
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from heliograph.servers.swap import response_head, swap
from heliograph.wire.framing import Framing
from wsgis import connected


@pytest.fixture
def pair():
    with connected() as pair:
        yield pair


def test_a_server_that_reads_on_finds_the_end(pair):
    """It does not wait for another request."""
    _, accepted = pair

    taken, dummy = swap(accepted.fileno(), accepted)

    assert accepted.recv(99) == b""
    taken.close()
    dummy.close()


def test_descriptors_are_not_inherited(pair):
    """A program that is started does not keep the client's connection open."""
    _, accepted = pair

    taken, dummy = swap(accepted.fileno(), accepted)

    assert not taken.get_inheritable()
    assert not accepted.get_inheritable()
    taken.close()
    dummy.close()


HEAD = b"HTTP/1.1 200 OK\r\nServer: s\r\nX-Mw: a: b\r\nContent-Length: 9\r\n\r\n"
CHUNKED = HEAD.replace(b"Content-Length: 9", b"Transfer-Encoding: Chunked")
COMMENT = b":" + b"x" * 9 + b"\n"

WRITTEN = [
    pytest.param([HEAD + COMMENT], True, id="at-once"),
    pytest.param([HEAD, COMMENT], True, id="one-after-the-other"),
    pytest.param([CHUNKED + b"b\r\n", COMMENT, b"\r\n"], True, id="a-chunk"),
    pytest.param([CHUNKED + b"B\r\n" + COMMENT + b"\r\n"], True, id="capital-digits"),
    pytest.param([], False, id="nothing"),
    pytest.param([HEAD[:-2]], False, id="half-a-head"),
    pytest.param([HEAD], False, id="a-head-alone"),
    pytest.param([HEAD + COMMENT.upper()], False, id="changed"),
    pytest.param([HEAD + COMMENT + b"\n"], False, id="more"),
    pytest.param([CHUNKED + COMMENT], False, id="no-chunk"),
]


@pytest.mark.parametrize(("written", "is_known"), WRITTEN)
def test_the_head_that_the_server_writes(pair, monkeypatch, written, is_known):
    """With what middleware has added, less what concerns the server's own connection."""
    monkeypatch.setattr("heliograph.servers.swap._HEAD_SECONDS", 0.1)
    _, accepted = pair
    taken, dummy = swap(accepted.fileno(), accepted)

    for data in written:
        accepted.sendall(data)

    assert dummy.written_head(COMMENT, Framing.IDENTITY) == (
        b"HTTP/1.1 200 OK\r\nServer: s\r\nX-Mw: a: b\r\nConnection: close\r\n\r\n"
        if is_known
        else None
    )
    taken.close()
    dummy.close()


def test_a_head_that_another_thread_writes(pair):
    """It is waited for."""
    _, accepted = pair
    taken, dummy = swap(accepted.fileno(), accepted)
    timer = threading.Timer(0.05, accepted.sendall, [HEAD + COMMENT])
    timer.start()

    assert dummy.written_head(COMMENT, Framing.IDENTITY) is not None
    timer.join()
    taken.close()
    dummy.close()


@pytest.mark.parametrize("blocks", [True, False])
def test_a_connection_that_is_given_back(pair, blocks):
    """It is as it was, and nothing that the server has written is lost."""
    client, accepted = pair
    accepted.setblocking(blocks)
    written = os.urandom(100_000)
    taken, dummy = swap(accepted.fileno(), accepted)
    # More than the server writes of a stream before it is asked for the next block.
    accepted.sendall(written)

    with ThreadPoolExecutor() as executor:
        giving = executor.submit(dummy.give_back, taken)
        got = b""
        while len(got) < len(written):
            got += client.recv(1 << 16)
        giving.result()

    assert got == written
    assert os.get_blocking(accepted.fileno()) is blocks
    accepted.sendall(b"later")
    assert client.recv(99) == b"later"


def test_a_connection_that_is_given_back_to_a_client_that_has_left(pair):
    """The server will see it."""
    client, accepted = pair
    taken, dummy = swap(accepted.fileno(), accepted)
    accepted.sendall(HEAD)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()

    dummy.give_back(taken)

    with pytest.raises(ConnectionError):
        accepted.sendall(b"x")


def test_a_number_that_has_become_another_connections_is_not_taken(pair, monkeypatch):
    """The server closes the connection in that moment, and accepts another one."""
    _, accepted = pair
    number = accepted.fileno()
    dup = os.dup
    others = []

    def slow_dup(duplicated):
        if duplicated == number and not others:
            accepted.close()
            others.extend(socket.socketpair())
        return dup(duplicated)

    monkeypatch.setattr("heliograph.hub.sinks.descriptors.os.dup", slow_dup)
    assert swap(accepted.fileno(), accepted) is None

    one, other = others
    assert number in {one.fileno(), other.fileno()}
    with one, other:
        one.sendall(b"still theirs")
        assert other.recv(99) == b"still theirs"


def test_nothing_stays_open_if_the_number_is_no_socket_any_more(pair, monkeypatch):
    """What was duplicated is closed."""
    _, accepted = pair
    number = accepted.fileno()
    dup = os.dup
    copies = []

    def slow_dup(duplicated):
        if duplicated == number:
            reader, writer = os.pipe()
            os.dup2(reader, number)
            os.close(reader)
            os.close(writer)
        copies.append(dup(duplicated))
        return copies[-1]

    monkeypatch.setattr("heliograph.hub.sinks.descriptors.os.dup", slow_dup)
    with pytest.raises(OSError, match="non-socket"):
        swap(accepted.fileno(), accepted)

    for copy in copies:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(copy)


def test_a_connection_is_not_given_back_over_another(pair):
    """The server has closed the dummy, and its number is another connection's."""
    _, accepted = pair
    number = accepted.fileno()
    taken, dummy = swap(accepted.fileno(), accepted)
    accepted.close()
    one, other = socket.socketpair()
    assert number in {one.fileno(), other.fileno()}

    dummy.give_back(taken)

    with one, other:
        one.sendall(b"still theirs")
        assert other.recv(99) == b"still theirs"


@pytest.mark.parametrize("blocks", [True, False])
def test_the_dummy_blocks_as_the_connection_does(pair, blocks):
    """A server that has set it otherwise does not expect that a write waits."""
    _, accepted = pair
    accepted.setblocking(blocks)

    taken, dummy = swap(accepted.fileno(), accepted)

    assert os.get_blocking(accepted.fileno()) is blocks
    taken.close()
    dummy.close()


def test_failure_leaves_the_connection(pair, monkeypatch):
    """Without descriptors to spare the server keeps what it has."""
    client, accepted = pair

    def dup(number):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("heliograph.hub.sinks.descriptors.os.dup", dup)
    with pytest.raises(OSError, match="Too many"):
        swap(accepted.fileno(), accepted)

    accepted.sendall(b"still the server's")
    assert client.recv(99) == b"still the server's"


@pytest.mark.parametrize(
    ("framing", "line"),
    [(Framing.CHUNKED, [b"Transfer-Encoding: chunked"]), (Framing.IDENTITY, [])],
)
def test_response_head(framing, line):
    """Status and headers as given; what concerns the connection is ours to say."""
    headers = [
        ("Content-Type", "text/event-stream"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "keep-alive"),
        ("Date", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ("X-Name", "é"),
    ]

    head = response_head("200 OK", headers, framing)

    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Content-Type: text/event-stream",
        b"Set-Cookie: a=1",
        b"Set-Cookie: b=2",
        b"Date: Mon, 01 Jan 2024 00:00:00 GMT",
        b"X-Name: \xe9",
        *line,
        b"Connection: close",
        b"",
        b"",
    ]
