"""gunicorn: what its workers say of connections, and whether they are to stop."""

import asyncio

import pytest
from gunicorn.workers.sync import SyncWorker

from heliograph.servers.gunicorn import (
    asgi_connection_of,
    stopping_worker,
    wsgi_connection_of,
)
from wsgis import changes_hands, connected, environ


@pytest.fixture
def worker():
    """A worker that serves nothing."""
    worker = object.__new__(SyncWorker)
    worker.alive = True
    return worker


@pytest.mark.parametrize("key", ["gunicorn.socket", "gunicorn.sock"])
def test_the_connection_changes_hands(key):
    """Also with several workers, none of which ends with a response."""
    with connected() as (client, accepted):
        own = environ(key, accepted, **{"wsgi.multiprocess": True})
        changes_hands(wsgi_connection_of(own, None), client, accepted)


@pytest.mark.parametrize("value", [None, "socket"])
def test_another_server(value):
    """It is not looked at."""
    assert wsgi_connection_of(environ("gunicorn.socket", value), None) is None


def test_whether_a_worker_is_to_stop(worker):
    """It is asked each time; the hub asks once for all streams of a worker."""
    is_stopping = stopping_worker(worker)

    assert is_stopping == stopping_worker(worker)
    assert not is_stopping()
    worker.alive = False
    assert is_stopping()


@pytest.mark.parametrize("alive", [None, 1, "yes"])
def test_a_worker_that_looks_different(worker, alive):
    """It is not asked, and neither is anything else."""
    worker.alive = alive

    assert stopping_worker(worker) is None
    assert stopping_worker(None) is None


async def serve(self, receive, send):
    """Stand for the coroutine that a worker runs for each request."""
    return asgi_connection_of(receive, send)


async def test_a_request_is_found_by_its_task(monkeypatch, worker):
    """Whatever middleware has made of ``receive``."""
    sent = []

    async def send(message):
        sent.append(message)

    class Protocol:
        pass

    protocol = Protocol()
    protocol.worker = worker
    other = await asyncio.create_task(serve(protocol, asyncio.Event().wait, send))
    monkeypatch.setitem(globals(), "__name__", "gunicorn.asgi.protocol")
    found = await asyncio.create_task(serve(protocol, asyncio.Event().wait, send))

    assert other is None
    assert found.is_stopping == stopping_worker(worker)
