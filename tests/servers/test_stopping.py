"""Who handles the signal to end in this process, as far as it is a server."""

import signal

import pytest
import uvicorn
from gunicorn.workers.sync import SyncWorker

from heliograph.servers.stopping import stopping_process


@pytest.fixture
def handled_by():
    """Let something handle the signal, for as long as the test lasts."""
    before = signal.getsignal(signal.SIGTERM)
    yield lambda handler: signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGTERM, before)


def test_uvicorn(handled_by):
    """It is to stop when it was told to, and when it has closed what it listens on."""
    server = uvicorn.Server(uvicorn.Config(None))
    handled_by(server.handle_exit)

    is_stopping = stopping_process()

    assert is_stopping == stopping_process()
    # Until it has started it listens on nothing either: a lifespan may subscribe.
    assert not is_stopping()
    server.servers, server.started = [], True
    assert is_stopping()
    assert is_stopping == stopping_process()


def test_gunicorn(handled_by):
    """Its worker is alive until it was told to stop."""
    worker = object.__new__(SyncWorker)
    worker.alive = True
    handled_by(worker.handle_exit)

    is_stopping = stopping_process()

    assert not is_stopping()
    worker.alive = False
    assert is_stopping()


class Program:
    """Something that has what servers have, and is none."""

    alive = should_exit = True

    def handle_exit(self, *_):
        pass


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, Program().handle_exit])
def test_others(handled_by, handler):
    """They are not asked."""
    handled_by(handler)

    assert stopping_process() is None
