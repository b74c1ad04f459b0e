"""What is asked of hypercorn, where it looks otherwise than it does, or is none."""

import asyncio

import pytest

from heliograph.servers.hypercorn import connection_of
from heliograph.servers.transport import TransportConnection


class Context:
    terminated = asyncio.Event()


class Response:
    """What hypercorn has for a response, as far as it tells that it is to stop."""

    context = Context

    def __init__(self, version):
        self.scope = {"http_version": version}

    async def app_send(self, message):
        pass


async def receive():
    return {"type": "http.disconnect"}


@pytest.fixture
def hypercorn(monkeypatch):
    """Let the tasks of this module be taken for hypercorn's."""
    monkeypatch.setattr("heliograph.servers.log_once._logged", set())
    monkeypatch.setitem(globals(), "__name__", "hypercorn.asyncio.task_group")


async def handle(send):
    """Stand for the coroutine that hypercorn runs for each request."""
    return connection_of(receive, send)


CHANGED = [
    pytest.param(lambda: None, "'function' object has no attribute '__self__'", id="send"),
    pytest.param(
        Response("2").app_send, "'Response' object has no attribute 'send'", id="response"
    ),
]


@pytest.mark.parametrize(("send", "reason"), CHANGED)
async def test_a_hypercorn_that_is_not_known(hypercorn, caplog, send, reason):
    """It is left alone, and one line says so."""
    for _ in range(2):
        connection = await asyncio.create_task(handle(send))
        assert type(connection) is TransportConnection
        await connection.drained()
        await connection.abort()
    assert caplog.messages == [
        f"this hypercorn is not known: it holds what a client of HTTP/2 does not read ({reason})"
    ]


@pytest.mark.parametrize("version", ["2", "3"])
async def test_a_hypercorn_that_hides_its_connection(hypercorn, version):
    """In HTTP/3, or because it looks different: whether it is to stop is known of it."""
    connection = await asyncio.create_task(handle(Response(version).app_send))

    assert not connection.is_stopping()
    Context.terminated.set()
    assert connection.is_stopping()
    Context.terminated.clear()


async def test_no_hypercorn(caplog):
    """Another server's tasks are not touched."""
    assert await asyncio.create_task(handle(Response("1.1").app_send)) is None
    assert not caplog.records
