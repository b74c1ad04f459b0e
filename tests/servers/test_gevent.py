"""gevent's own server: its connection is behind the body of the request."""

import io

from gevent.pywsgi import Input

from heliograph.servers.gevent import connection_of
from wsgis import connected, environ


class Changed:
    """A body that has nothing of what it had."""

    __module__ = Input.__module__


def test_the_connection_behind_the_body():
    """It is found, and changes hands."""
    with connected() as (client, accepted), accepted.makefile("rb") as file:
        connection = connection_of(environ("wsgi.input", Input(file, 0)), None)

        assert connection.descriptor == accepted.fileno()
        taken, dummy = connection.take_over()
        with taken:
            taken.sendall(b"from us")
            assert client.recv(99) == b"from us"
        dummy.close()


def test_a_gevent_that_looks_different_is_not_taken():
    """Its private objects are where the tests have seen them, or are left alone."""
    for body in (Input(None, 0), Input(io.BytesIO(), 0), Changed(), None):
        assert connection_of(environ("wsgi.input", body), None) is None
