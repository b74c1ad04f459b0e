"""Taking a connection over: what is touched, and what the server still sees."""

import io
import os
import socket
import ssl

import pytest

from heliograph.servers.wsgi import client_descriptor, response_head, take_over


@pytest.fixture
def pair():
    """A connection as a server and its client have it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    with client, accepted:
        client.settimeout(5)
        yield client, accepted


def environ(connection, key="gunicorn.socket", **changes):
    return {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        key: connection,
    } | changes


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
def test_the_connection_changes_hands(pair, key):
    """We write to the client; whatever the server does hits the dummy."""
    client, accepted = pair
    number = accepted.fileno()

    taken, body = take_over(environ(accepted, key))

    with taken:
        assert accepted.fileno() == number
        accepted.sendall(b"HTTP/1.1 200 OK\r\n\r\nfrom the server")
        assert list(body) == []
        body.close()
        accepted.shutdown(socket.SHUT_RDWR)
        accepted.close()
        taken.sendall(b"from us")
        assert client.recv(99) == b"from us"
        client.sendall(b"to us")
        assert taken.recv(99) == b"to us"


def test_a_server_that_reads_on_finds_the_end(pair):
    """It does not wait for another request."""
    _, accepted = pair

    taken, body = take_over(environ(accepted))

    assert accepted.recv(99) == b""
    taken.close()
    body.close()


def test_descriptors_are_not_inherited(pair):
    """A program that is started does not keep the client's connection open."""
    _, accepted = pair

    taken, body = take_over(environ(accepted))

    assert not taken.get_inheritable()
    assert not accepted.get_inheritable()
    taken.close()
    body.close()


class OtherSocket(socket.socket):
    """As gevent's: a socket that belongs to somebody's loop."""


def test_the_head_that_the_server_writes(pair):
    """With what middleware has added, less what concerns the server's own connection."""
    _, accepted = pair
    taken, body = take_over(environ(accepted))

    def write(data):
        accepted.sendall(
            b"HTTP/1.1 200 OK\r\nServer: s\r\nX-Mw: a: b\r\nTransfer-Encoding: chunked\r\n\r\n"
        )

    assert body.written_head(write) == (
        b"HTTP/1.1 200 OK\r\nServer: s\r\nX-Mw: a: b\r\nConnection: close\r\n\r\n"
    )
    taken.close()
    body.close()


@pytest.mark.parametrize("write", [None, lambda data: None])
def test_no_head_yet(pair, write):
    """Middleware that holds it back does not hold us up."""
    _, accepted = pair
    taken, body = take_over(environ(accepted))

    assert body.written_head(write) is None
    taken.close()
    body.close()


def test_a_server_that_forks_for_each_request(pair):
    """Its process ends with the response; gunicorn's does not, whatever it says."""
    _, accepted = pair

    assert (
        take_over(environ(accepted, "werkzeug.socket", **{"wsgi.multiprocess": True}))
        is None
    )

    taken, body = take_over(environ(accepted, **{"wsgi.multiprocess": True}))
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
    assert take_over(environ(accepted)) is None

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
        take_over(environ(accepted))

    for copy in copies:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(copy)


def test_a_connection_is_not_given_back_over_another(pair):
    """The server has closed the dummy, and its number is another connection's."""
    _, accepted = pair
    number = accepted.fileno()
    taken, dummy = take_over(environ(accepted))
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

    taken, body = take_over(environ(accepted))

    assert os.get_blocking(accepted.fileno()) is blocks
    taken.close()
    body.close()


REFUSED = [
    pytest.param({"REQUEST_METHOD": "HEAD"}, id="head"),
    pytest.param({"REQUEST_METHOD": "POST"}, id="post"),
    pytest.param({"SERVER_PROTOCOL": "HTTP/2"}, id="http2-shares-its-connection"),
    pytest.param({"SERVER_PROTOCOL": None}, id="no-protocol"),
    pytest.param({"gunicorn.socket": None}, id="no-socket"),
    pytest.param({"gunicorn.socket": "socket"}, id="not-a-socket"),
]


@pytest.mark.parametrize("changes", REFUSED)
def test_not_taken(pair, changes):
    """Whatever is not known to work is left alone."""
    _, accepted = pair

    assert take_over(environ(accepted) | changes) is None
    assert take_over({}) is None


def test_a_gevent_that_looks_different_is_not_taken(pair):
    """What is private of it is where it was seen, or is left alone."""
    from gevent.pywsgi import Input

    class Changed:
        __module__ = Input.__module__

    _, accepted = pair
    with accepted.makefile("rb") as file:
        body = Input(file, 0)
        assert client_descriptor(environ(body, "wsgi.input")) == accepted.fileno()
        taken, dummy = take_over(environ(body, "wsgi.input"))
        taken.close()
        dummy.close()
    for body in (Input(None, 0), Input(io.BytesIO(), 0), Changed()):
        assert take_over(environ(body, "wsgi.input")) is None


def test_a_closed_socket_is_not_taken(pair):
    """There is nothing to take."""
    _, accepted = pair
    accepted.close()

    assert take_over(environ(accepted)) is None
    assert client_descriptor(environ(accepted)) is None


def test_sockets_with_state_of_their_own_are_not_taken(pair):
    """TLS and gevent: looked at, not touched."""
    _, accepted = pair
    with OtherSocket(fileno=accepted.detach()) as other:
        assert take_over(environ(other)) is None
        assert client_descriptor(environ(other)) == other.fileno()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with context.wrap_socket(
            socket.socket(fileno=other.detach()),
            server_side=True,
            do_handshake_on_connect=False,
        ) as secure:
            assert take_over(environ(secure)) is None
            assert client_descriptor(environ(secure)) == secure.fileno()


def test_failure_leaves_the_connection(pair, monkeypatch):
    """Without descriptors to spare the server keeps what it has."""
    client, accepted = pair

    def dup(number):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("heliograph.hub.sinks.descriptors.os.dup", dup)
    with pytest.raises(OSError, match="Too many"):
        take_over(environ(accepted))

    accepted.sendall(b"still the server's")
    assert client.recv(99) == b"still the server's"


def test_response_head():
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

    head = response_head("200 OK", headers)

    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Content-Type: text/event-stream",
        b"Set-Cookie: a=1",
        b"Set-Cookie: b=2",
        b"Date: Mon, 01 Jan 2024 00:00:00 GMT",
        b"X-Name: \xe9",
        b"Connection: close",
        b"",
        b"",
    ]
