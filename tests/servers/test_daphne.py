"""What is asked of daphne and Twisted, where they look otherwise than they do."""

import asyncio
import sys
from types import SimpleNamespace

import pytest

from heliograph import HubConfig
from heliograph.servers.daphne import connection_of


class Channel:
    """What Twisted has for a connection in HTTP/1, as far as it is ended."""

    def __init__(self):
        self.is_aborted = False
        self.transport = self

    def abortConnection(self):  # noqa: N802 - Twisted's name
        self.is_aborted = True


class Request:
    """A request of daphne, with its place for one producer."""

    def __init__(self):
        self.application_queue = asyncio.Queue()
        self.channel = Channel()
        self.producer = None

    def registerProducer(self, producer, streaming):  # noqa: N802 - Twisted's name
        if self.producer is not None:
            raise ValueError("registering producer before previous one was unregistered")
        self.producer = producer

    def unregisterProducer(self):  # noqa: N802 - Twisted's name
        self.producer = None


@pytest.fixture
def listen(monkeypatch):
    """Let daphne be there, with ports that it listens on."""
    monkeypatch.setattr("heliograph.servers.log_once._logged", set())

    def listen(*readers):
        reactor = SimpleNamespace(getReaders=lambda: readers)
        monkeypatch.setitem(sys.modules, "daphne.server", SimpleNamespace())
        monkeypatch.setitem(sys.modules, "twisted.internet.reactor", reactor)

    return listen


def port(*requests):
    server = SimpleNamespace(connections=dict.fromkeys(requests))
    return SimpleNamespace(factory=SimpleNamespace(server=server))


def with_tls(*requests):
    return SimpleNamespace(factory=SimpleNamespace(wrappedFactory=port(*requests).factory))


async def send(message):
    pass


async def fail(message):
    raise ZeroDivisionError


@pytest.mark.parametrize("kind", [port, with_tls])
async def test_a_request_is_found(listen, kind):
    """By its queue, among the others of all ports."""
    request, other = Request(), Request()
    listen(SimpleNamespace(), port(other), kind(Request(), request))

    connection = connection_of(request.application_queue.get, send, None)

    assert request.producer is connection
    assert other.producer is None
    connection.tune(HubConfig())  # it has no socket
    await connection.abort()
    assert request.channel.is_aborted
    connection.release()
    assert request.producer is None


async def test_a_client_that_does_not_read(listen):
    """It is waited for until it reads, or leaves."""
    request = Request()
    listen(port(request))
    connection = connection_of(request.application_queue.get, send, None)
    await connection.drained()
    for goes_on in (connection.resumeProducing, connection.stopProducing):
        connection.pauseProducing()
        waiting = asyncio.create_task(connection.drained())
        await asyncio.sleep(0)
        assert not waiting.done()

        goes_on()

        await waiting


@pytest.mark.parametrize("channel", [None, "missing"])
async def test_a_client_that_leaves(listen, channel):
    """Twisted has let go of its connection, and of the producer."""
    request = Request()
    listen(port(request))
    connection = connection_of(request.application_queue.get, send, None)
    if channel is None:
        request.channel = None
    else:
        del request.channel

    await connection.abort()
    connection.release()
    connection.tune(HubConfig())

    assert request.producer is connection


async def test_a_response_that_fails_before_its_stream(listen):
    """Twisted could not end it while it had a producer."""
    request = Request()
    listen(port(request))
    connection = connection_of(request.application_queue.get, fail, None)

    with pytest.raises(ZeroDivisionError):
        await connection.take_over(None, {}, b":\n\n")

    assert request.producer is None


async def test_a_client_that_has_left(listen, caplog):
    """Its request is found, and there is nothing to wait for."""
    request = Request()
    request.channel = None
    listen(port(request))

    assert connection_of(request.application_queue.get, send, None) is None
    assert not caplog.records


CHANGED = [
    pytest.param(lambda request: [], "the request is not where it was", id="elsewhere"),
    pytest.param(
        lambda request: [port(request)], "registering producer before", id="produced-already"
    ),
    pytest.param(
        lambda request: [SimpleNamespace(factory=SimpleNamespace(server=SimpleNamespace(connections=5)))],
        "'int' object is not iterable",
        id="no-connections",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("readers", "reason"), CHANGED)
async def test_a_daphne_that_is_not_known(listen, caplog, readers, reason):
    """It is left alone, and one line says so."""
    request = Request()
    request.producer = "somebody's"
    listen(*readers(request))

    for _ in range(2):
        assert connection_of(request.application_queue.get, send, None) is None

    (line,) = caplog.messages
    assert line.startswith("this daphne is not known: it holds whatever a client does not")
    assert reason in line
    assert request.producer == "somebody's"


async def test_no_daphne(caplog):
    """Another server's queues are not looked for."""
    assert connection_of(asyncio.Queue().get, send, None) is None
    assert not caplog.records
