"""werkzeug's server: its connection is taken unless its process ends with the response."""

import pytest

from heliograph.servers.werkzeug import connection_of
from wsgis import changes_hands, connected, environ

FORKS = [(True, False), (False, True)]


@pytest.mark.parametrize(("forks", "is_taken"), FORKS)
def test_a_server_that_forks_for_each_request(forks, is_taken):
    """Its process ends with the response, so the stream stays in it."""
    with connected() as (client, accepted):
        own = environ("werkzeug.socket", accepted, **{"wsgi.multiprocess": forks})
        connection = connection_of(own, None)
        assert connection.descriptor == accepted.fileno()
        if is_taken:
            changes_hands(connection, client, accepted)
        else:
            assert connection.take_over() is None


def test_another_server():
    """It is not looked at."""
    assert connection_of(environ(), None) is None
