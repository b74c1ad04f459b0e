"""Which ASGI server a request came from: the first that recognises it answers."""

import asyncio
import signal

import pytest
import uvicorn
from gunicorn.workers.sync import SyncWorker

from heliograph.servers.asgi import connection_of, expecting_stop
from heliograph.servers.gunicorn import stopping_worker
from heliograph.servers.transport import TransportConnection
from heliograph.servers.uvicorn import UvicornConnection
from uvicorns import request, serving


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("hides", [False, True])
async def test_uvicorn(http, hides):
    """It is recognised by ``receive``, unless a middleware has replaced that."""
    found = []

    async def app(scope, receive, send):
        async def hidden():
            return await receive()

        found.append(connection_of(hidden if hides else receive, send))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with serving(app, http=http, lifespan="off") as port:
        await request(port)

    (connection,) = found
    assert type(connection) is (TransportConnection if hides else UvicornConnection)


async def receive():
    return {"type": "http.disconnect"}


async def send(message):
    pass


async def test_an_unknown_server():
    """No more is known of it than the process tells."""
    before = signal.getsignal(signal.SIGTERM)
    worker = object.__new__(SyncWorker)
    worker.alive = True
    try:
        signal.signal(signal.SIGTERM, worker.handle_exit)
        connection = connection_of(receive, send)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert type(connection) is TransportConnection
    assert connection.is_stopping == stopping_worker(worker)


@pytest.mark.parametrize("receive", [receive, asyncio.Queue().get, None])
def test_a_server_that_does_not_tell(receive):
    """Nothing stands among its connections."""
    with expecting_stop(receive):
        pass


async def test_a_uvicorn_hidden_from_the_first(monkeypatch):
    """Its signal handler says whether it is to stop."""
    server = uvicorn.Server(uvicorn.Config(None))
    server.servers, server.started = [], True
    before = signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, server.handle_exit)
        assert connection_of(receive, send).is_stopping()
    finally:
        signal.signal(signal.SIGTERM, before)
