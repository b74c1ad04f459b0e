"""Which WSGI server a request came from: the first that recognises it answers."""

import asyncio

import pytest

from heliograph.servers.wsgi import connection_of
from wsgis import changes_hands, connected, environ


@pytest.fixture
def pair():
    with connected() as pair:
        yield pair


@pytest.mark.parametrize("key", ["gunicorn.socket", "gunicorn.sock", "werkzeug.socket"])
def test_servers_that_say_which_connection_it_is(pair, key):
    """The connection changes hands."""
    client, accepted = pair

    changes_hands(connection_of(environ(key, accepted)), client, accepted)


UNKNOWN = [
    pytest.param({}, id="nothing"),
    pytest.param({"gunicorn.socket": None}, id="no-socket"),
    pytest.param({"gunicorn.socket": "socket"}, id="not-a-socket"),
    pytest.param({"werkzeug.socket": 3}, id="a-number"),
    pytest.param({"waitress.client_disconnected": bool}, id="not-a-method"),
    pytest.param({"wsgi.input": None}, id="no-body"),
]


@pytest.mark.parametrize("changes", UNKNOWN)
def test_an_unknown_server_keeps_its_connection(changes):
    """Nothing is seen of it and nothing touched."""
    connection = connection_of(environ() | changes)

    assert connection.take_over() is None
    assert connection.descriptor is None
    assert connection.adapter is None
    assert not connection.has_left()
    assert not connection.has_pending_output()


async def test_an_adapter():
    """a2wsgi has no descriptor, and something that can reach the client."""

    class Body:
        receive = None
        loop = asyncio.get_running_loop()

    Body.__module__ = "a2wsgi.wsgi"
    assert connection_of(environ("wsgi.input", Body())).adapter is None
    Body.receive = staticmethod(asyncio.Event().wait)
    connection = connection_of(environ("wsgi.input", Body()))
    assert connection.adapter is not None
    assert connection.descriptor is None
    assert connection.take_over() is None
