"""uWSGI: its options, and the descriptor of a connection. The rest needs one: tests/e2e."""

import sys
from types import SimpleNamespace

import pytest

from heliograph.servers.uwsgi import connection_of, is_about_to_fork, runs_no_threads
from heliograph.wire.framing import Framing
from wsgis import changes_hands, connected, environ


@pytest.fixture
def start(monkeypatch):
    """Let this be a process of uWSGI's."""

    def start(*options, worker=1, descriptor=-1):
        module = SimpleNamespace(
            opt=dict.fromkeys(options),
            worker_id=lambda: worker,
            connection_fd=lambda: descriptor,
        )
        monkeypatch.setitem(sys.modules, "uwsgi", module)

    return start


OF_UWSGI = environ("uwsgi.version", b"2")


def test_the_connection_changes_hands(start):
    """By its number: there is no object for it in Python."""
    with connected() as (client, accepted):
        start("http-socket", descriptor=accepted.fileno())
        changes_hands(connection_of(OF_UWSGI, None), client, accepted)


@pytest.mark.parametrize(
    ("options", "framing"),
    [
        (["http-socket"], Framing.CHUNKED),
        (["http"], Framing.CHUNKED),
        (["socket"], Framing.IDENTITY),
        (["http", "uwsgi-socket"], Framing.IDENTITY),
    ],
)
def test_chunks_are_for_http(start, options, framing):
    """Who speaks the protocol uwsgi would take them for a part of the body."""
    start(*options)
    assert connection_of(OF_UWSGI, None).framing is framing


OTHERWISE = ["https-socket", "gevent", "async", "http-raw-socket", "fastcgi-socket"]


@pytest.mark.parametrize("option", OTHERWISE)
def test_options_that_hide_it(start, option):
    """Another protocol or another loop has the connection."""
    with connected() as (_, accepted):
        start("master", option, descriptor=accepted.fileno())
        assert connection_of(OF_UWSGI, None) is None


def test_another_server(start):
    """It is not looked at."""
    assert connection_of(environ(), None) is None


@pytest.mark.parametrize(
    ("options", "without"),
    [(["master"], True), (["enable-threads"], False), (["threads", "master"], False)],
)
def test_threads(start, options, without):
    """They are an option."""
    assert not runs_no_threads()
    start(*options)
    assert runs_no_threads() is without


@pytest.mark.parametrize(
    ("options", "worker", "forks"),
    [(["master"], 0, True), (["workers"], 0, True), (["master"], 1, False), ([], 0, False)],
)
def test_forks(start, options, worker, forks):
    """A master forks after it has loaded the application; a worker does not."""
    assert not is_about_to_fork()
    start(*options, worker=worker)
    assert is_about_to_fork() is forks
