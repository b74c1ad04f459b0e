"""waitress: its channels have output of their own, and a lock that has to be held."""

import threading
from types import SimpleNamespace

import pytest
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel

from heliograph.servers.waitress import connection_of
from wsgis import changes_hands, comes_back, connected, environ


@pytest.fixture
def pair():
    with connected() as pair:
        yield pair


def channel_of(accepted, lookahead=0):
    """A channel of waitress, and a request on it."""
    adjustments = Adjustments(channel_request_lookahead=lookahead)
    server = SimpleNamespace(active_channels={})
    channel = HTTPChannel(server, accepted, accepted.getpeername(), adjustments, map={})
    own = environ("waitress.client_disconnected", channel.check_client_disconnected)
    return channel, connection_of(own, None)


def test_the_connection_changes_hands(pair):
    """An idle channel lets go of its connection."""
    client, accepted = pair
    _, connection = channel_of(accepted)

    assert connection.descriptor == accepted.fileno()
    assert not connection.has_pending_output()
    changes_hands(connection, client, accepted)


def test_the_connection_comes_back(pair):
    """With what waitress has written meanwhile, in any of its threads."""
    client, accepted = pair
    channel, connection = channel_of(accepted)

    comes_back(connection, client, accepted)
    assert channel.outbuf_lock.acquire(blocking=False)


def test_unsent_output(pair):
    """It would go into the dummy, so the connection stays waitress's."""
    _, accepted = pair
    channel, connection = channel_of(accepted)

    channel.total_outbufs_len = 5

    assert connection.has_pending_output()
    assert connection.take_over() is None


def test_a_channel_that_is_being_closed(pair):
    """It is marked under the lock; then the number may soon be another client's."""
    _, accepted = pair
    channel, connection = channel_of(accepted)

    channel.connected = False

    assert connection.take_over() is None


def test_the_lock_is_waited_for(pair):
    """What another thread does with the channel is over when its connection is taken."""
    _, accepted = pair
    channel, connection = channel_of(accepted)
    results = []
    with channel.outbuf_lock:
        thread = threading.Thread(target=lambda: results.append(connection.take_over()))
        thread.start()
        channel.total_outbufs_len = 5
    thread.join()

    assert results == [None]


def test_one_that_reads_ahead(pair):
    """It would find the end of the dummy and give the request up."""
    _, accepted = pair
    _, connection = channel_of(accepted, lookahead=5)

    assert connection.descriptor == accepted.fileno()
    assert connection.take_over() is None


@pytest.mark.parametrize(
    "missing", ["connected", "outbuf_lock", "total_outbufs_len", "adj"]
)
def test_a_waitress_that_looks_different(pair, missing):
    """It keeps its connections."""
    _, accepted = pair
    channel, _ = channel_of(accepted)
    others = {name: value for name, value in vars(channel).items() if name != missing}
    changed = type(
        "Changed", (), {"__module__": "waitress.channel", "ask": lambda self: 0}
    )()
    vars(changed).update(others)

    connection = connection_of(environ("waitress.client_disconnected", changed.ask), None)

    assert connection.take_over() is None


def test_another_server():
    """It is not looked at."""
    assert connection_of(environ(), None) is None
