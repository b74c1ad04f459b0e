"""A connection as WSGI servers have it: what is seen of it, and what is never taken."""

import socket
import ssl

import pytest

from heliograph.servers.wsgi_connection import SocketConnection
from wsgis import changes_hands, comes_back, connected, environ


@pytest.fixture
def pair():
    with connected() as pair:
        yield pair


def test_a_socket_is_taken_over(pair):
    """Its descriptor can be seen, and the connection changes hands."""
    client, accepted = pair
    connection = SocketConnection(environ(), accepted)

    assert connection.descriptor == accepted.fileno()
    assert not connection.has_pending_output()
    changes_hands(connection, client, accepted)


def test_a_number_is_taken_over(pair):
    """Where the server has no object for the connection, as uWSGI."""
    client, accepted = pair

    changes_hands(SocketConnection(environ(), number=accepted.fileno()), client, accepted)


def test_a_connection_comes_back(pair):
    """With what the server has written meanwhile."""
    client, accepted = pair

    comes_back(SocketConnection(environ(), accepted), client, accepted)


NOT_TAKEN = [
    pytest.param({"REQUEST_METHOD": "HEAD"}, {}, id="head"),
    pytest.param({"REQUEST_METHOD": "CONNECT"}, {}, id="connect"),
    pytest.param({"SERVER_PROTOCOL": "HTTP/2"}, {}, id="http2-shares-its-connection"),
    pytest.param({"SERVER_PROTOCOL": None}, {}, id="no-protocol"),
    pytest.param({}, {"may_be_taken": False}, id="forbidden-by-the-server"),
]


@pytest.mark.parametrize(("changes", "options"), NOT_TAKEN)
def test_not_taken(pair, changes, options):
    """Whatever is not known to work stays the server's, and works as before."""
    client, accepted = pair

    connection = SocketConnection(environ(**changes), accepted, **options)
    assert not connection.may_be_taken
    assert connection.take_over() is None

    accepted.sendall(b"the server's")
    assert client.recv(99) == b"the server's"


@pytest.mark.parametrize("protocol", ["HTTP/2", None])
def test_a_shared_connection_is_not_looked_at(pair, protocol):
    """A client that leaves one of its streams does not leave the others."""
    client, accepted = pair
    connection = SocketConnection(environ(SERVER_PROTOCOL=protocol), accepted)
    client.close()

    assert connection.descriptor is None
    assert not connection.has_left()


def test_a_client_that_has_left(pair):
    """It is seen as soon as it has closed its half."""
    client, accepted = pair
    connection = SocketConnection(environ(), accepted)
    assert not connection.has_left()

    client.shutdown(socket.SHUT_WR)

    assert connection.has_left()


def test_nothing_to_be_seen():
    """Of a connection that the server hides."""
    connection = SocketConnection({})

    assert connection.descriptor is None
    assert not connection.is_encrypted
    assert not connection.has_left()
    assert connection.take_over() is None


def test_a_closed_socket_is_not_taken(pair):
    """There is nothing to take."""
    _, accepted = pair
    connection = SocketConnection(environ(), accepted)
    accepted.close()

    assert connection.take_over() is None
    assert connection.descriptor is None


class OtherSocket(socket.socket):
    """As gevent's: a socket that belongs to somebody's loop."""


def test_sockets_with_state_of_their_own_are_not_taken(pair):
    """TLS and gevent: looked at, not touched."""
    _, accepted = pair
    with OtherSocket(fileno=accepted.detach()) as other:
        connection = SocketConnection(environ(), other)
        assert connection.take_over() is None
        assert connection.descriptor == other.fileno()
        assert not connection.is_encrypted
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with context.wrap_socket(
            socket.socket(fileno=other.detach()),
            server_side=True,
            do_handshake_on_connect=False,
        ) as secure:
            connection = SocketConnection(environ(), secure)
            assert connection.take_over() is None
            assert connection.descriptor == secure.fileno()
            assert connection.is_encrypted
