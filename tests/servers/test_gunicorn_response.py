"""A response of gunicorn's that is written into memory: what the hub gets, and gunicorn sees."""

import errno
import functools
import os
import socket
import struct
import time
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.http.wsgi import Response
from gunicorn.util import close_graceful

from heliograph.servers import gunicorn_response
from heliograph.servers.gunicorn import wsgi_connection_of
from heliograph.servers.gunicorn_response import RecordedResponse, response_of
from heliograph.wire.framing import Framing
from wsgis import connected, environ

COMMENT = b": a comment\n"


class Request:
    """What gunicorn's response asks its request for."""

    version = (1, 1)
    method = "GET"

    def should_close(self):
        return False


@pytest.fixture
def pair():
    with connected() as pair:
        yield pair


def response_to(accepted):
    response = Response(Request(), accepted, Config())
    response.start_response("200 OK", [("X-Mw", "a"), ("Content-Type", "text/plain")])
    return response


def taken(accepted):
    response = response_to(accepted)
    connection = wsgi_connection_of(environ("gunicorn.socket", accepted), None)
    takeover = connection.begin_takeover(response.start_response)
    assert isinstance(takeover, RecordedResponse)
    return response, takeover


def test_a_connection_that_is_taken(pair):
    """The client gets nothing of the server, also when that shuts the connection down."""
    client, accepted = pair
    number = accepted.fileno()
    response, takeover = taken(accepted)
    response.write(COMMENT)

    head = takeover.written_head(COMMENT, Framing.CHUNKED)
    ours = takeover.connection()
    response.close()
    takeover.close()

    assert head.startswith(b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: ")
    assert head.endswith(
        b"X-Mw: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert response.should_close()
    assert accepted.fileno() == number
    assert not os.get_inheritable(number)
    with pytest.raises(OSError, match="not connected"):
        accepted.shutdown(socket.SHUT_WR)
    accepted.close()
    with ours:
        ours.sendall(b"from us")
        assert client.recv(99) == b"from us"
        client.sendall(b"to us")
        assert ours.recv(99) == b"to us"


def test_a_connection_that_is_given_back(pair):
    """Gunicorn has it as it was, and nothing that was written is lost."""
    client, accepted = pair
    response, takeover = taken(accepted)
    response.write(b"changed by a middleware")

    assert takeover.written_head(COMMENT, Framing.CHUNKED) is None
    takeover.give_back()
    response.write(b"later")

    written = client.recv(9999)
    while b"later" not in written:
        written += client.recv(9999)
    head, _, body = written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b"17\r\nchanged by a middleware\r\n5\r\nlater\r\n"
    assert not response.should_close()


def test_a_connection_that_the_server_closes(pair):
    """It is not taken, and the server is not told what it knows when it is given back."""
    _, accepted = pair
    response, takeover = taken(accepted)
    response.write(COMMENT)
    accepted.close()

    assert takeover.connection() is None
    takeover.give_back()


def test_a_process_that_may_have_unix_sockets_only(pair, monkeypatch):
    """The connection is taken all the same, and the worker waits for nothing at its end."""

    def only_unix(family):
        if family != socket.AF_UNIX:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return socket.socket(family)

    names = SimpleNamespace(
        AF_INET=socket.AF_INET, AF_UNIX=socket.AF_UNIX, socket=only_unix
    )
    monkeypatch.setattr(gunicorn_response, "socket", names)
    never_connected = functools.cache(gunicorn_response._never_connected.__wrapped__)
    monkeypatch.setattr(gunicorn_response, "_never_connected", never_connected)
    client, accepted = pair
    response, takeover = taken(accepted)
    response.write(COMMENT)

    ours = takeover.connection()
    began_at = time.monotonic()
    close_graceful(accepted)

    assert time.monotonic() - began_at < 1
    with ours:
        ours.sendall(b"from us")
        assert client.recv(99) == b"from us"
    never_connected(os.getpid()).close()


def test_a_client_that_has_left_before_it_is_given_back(pair):
    """The server finds out when it writes on, as after a swap."""
    client, accepted = pair
    _, takeover = taken(accepted)
    reset(client)

    takeover.give_back()

    with pytest.raises(OSError, match=r"reset|[Bb]roken"):
        accepted.sendall(b"later")


def reset(client):
    """Close a connection so that the other end's next call fails."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def of_another_module(response, accepted):
    response.__class__ = type("Response", (Response,), {})


# What makes a response one that is not known. Add a row, not a test.
UNKNOWN = {
    "another class": of_another_module,
    "another socket": lambda response, accepted: setattr(response, "sock", None),
    "it has begun": lambda response, accepted: response.write(b"x"),
    "it cannot close": lambda response, accepted: setattr(response, "force_close", None),
}


@pytest.mark.parametrize("reason", UNKNOWN)
def test_a_response_that_looks_different(pair, reason):
    """The connection is swapped, as for any server."""
    _, accepted = pair
    response = response_to(accepted)
    UNKNOWN[reason](response, accepted)
    connection = wsgi_connection_of(environ("gunicorn.socket", accepted), None)

    assert response_of(response.start_response, accepted) is None
    takeover = connection.begin_takeover(response.start_response)

    assert not isinstance(takeover, RecordedResponse)
    takeover.give_back()


def test_what_middleware_has_put_in_its_place(pair):
    """A function that calls the server's is not looked into."""
    _, accepted = pair
    response = response_to(accepted)

    def start_response(*args):
        return response.start_response(*args)

    assert response_of(start_response, accepted) is None
