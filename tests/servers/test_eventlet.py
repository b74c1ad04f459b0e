"""eventlet's own server: the body of a request has its connection."""

from heliograph.servers.eventlet import connection_of
from programs import run
from wsgis import changes_hands, connected, environ


class Input:
    """What a request's body is there, as far as it is looked at."""

    def __init__(self, connection):
        self._sock = connection


def test_the_connection_of_the_body():
    """It is found, and changes hands."""
    with connected() as (client, accepted):
        request = environ("eventlet.input", Input(accepted))

        changes_hands(connection_of(request, None), client, accepted)
        assert request["eventlet.minimum_write_chunk_size"] == 1


def test_an_eventlet_that_looks_different_is_not_taken():
    """Its private object is where the tests have seen it, or is left alone."""
    for body in (Input(None), object(), None):
        assert connection_of(environ("eventlet.input", body), None) is None


def test_a_socket_of_eventlet_in_a_program_that_it_has_not_patched():
    """It is taken like one of the standard library."""
    out = run(
        """
        import socket
        import eventlet.green.socket
        from heliograph.servers.wsgi_connection import plain_sockets

        print(plain_sockets() == (socket.socket, eventlet.green.socket.socket))
        """,
        warnings="ignore",
    )

    assert out == "True\n"
