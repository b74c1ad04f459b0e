"""The swap of descriptors: what the hub gets, and what the server still sees."""

import os
import socket

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

    taken, body = swap(accepted.fileno(), accepted)

    assert accepted.recv(99) == b""
    taken.close()
    body.close()


def test_descriptors_are_not_inherited(pair):
    """A program that is started does not keep the client's connection open."""
    _, accepted = pair

    taken, body = swap(accepted.fileno(), accepted)

    assert not taken.get_inheritable()
    assert not accepted.get_inheritable()
    taken.close()
    body.close()


def test_the_head_that_the_server_writes(pair):
    """With what middleware has added, less what concerns the server's own connection."""
    _, accepted = pair
    taken, body = swap(accepted.fileno(), accepted)

    def write(data):
        accepted.sendall(
            b"HTTP/1.1 200 OK\r\nServer: s\r\nX-Mw: a: b\r\nTransfer-Encoding: chunked\r\n\r\n"
        )

    assert body.written_head(write, Framing.IDENTITY) == (
        b"HTTP/1.1 200 OK\r\nServer: s\r\nX-Mw: a: b\r\nConnection: close\r\n\r\n"
    )
    taken.close()
    body.close()


@pytest.mark.parametrize("write", [None, lambda data: None])
def test_no_head_yet(pair, write):
    """Middleware that holds it back does not hold us up."""
    _, accepted = pair
    taken, body = swap(accepted.fileno(), accepted)

    assert body.written_head(write, Framing.IDENTITY) is None
    taken.close()
    body.close()


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

    taken, body = swap(accepted.fileno(), accepted)

    assert os.get_blocking(accepted.fileno()) is blocks
    taken.close()
    body.close()


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
