"""What ASGI servers have in common: a transport behind ``receive``, a task per request."""

import asyncio
import socket

import pytest

from heliograph import HubConfig
from heliograph.servers.transport import (
    TransportConnection,
    outermost_of_task,
    transport_of,
)


class Cycle(asyncio.Protocol):
    """A server's object for a request, with ``receive`` for a method."""

    def connection_made(self, transport):
        self.transport = transport

    async def receive(self):
        return {"type": "http.disconnect"}


class Behind:
    """One that has the protocol, which has the transport."""

    def __init__(self, protocol):
        self.protocol = protocol

    receive = Cycle.receive


@pytest.fixture
async def accepted():
    """A connection on the loop of the test, with its client."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, cycle = await loop.connect_accepted_socket(Cycle, ours)
    with client:
        yield client, transport, cycle
    transport.abort()


@pytest.fixture
def sent():
    return []


@pytest.fixture
def send(sent):
    async def send(message):
        sent.append(message)

    return send


@pytest.mark.parametrize("behind", [False, True])
async def test_a_transport_is_found(accepted, send, behind):
    """Its connection is tuned, and ended at once."""
    client, transport, cycle = accepted
    receive = Behind(cycle).receive if behind else cycle.receive
    connection = TransportConnection(receive, send)

    connection.tune(HubConfig(dead_peer_seconds=33))
    ours = transport.get_extra_info("socket")
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 33_000
    await connection.drained()
    await connection.abort()

    assert await asyncio.get_running_loop().sock_recv(client, 9) == b""


async def test_a_transport_that_is_lost(accepted, send):
    """There is nothing to tune any more."""
    _, transport, cycle = accepted
    connection = TransportConnection(cycle.receive, send)
    transport.abort()
    await asyncio.sleep(0)

    connection.tune(HubConfig())
    await connection.abort()


async def nothing():
    return {"type": "http.disconnect"}


@pytest.mark.parametrize("receive", [nothing, asyncio.Queue().get, Behind(None).receive])
async def test_no_transport(receive, send, sent):
    """Nothing is done to the connection, and what goes through ``send`` is the same."""
    connection = TransportConnection(receive, send)

    assert transport_of(receive) is None
    connection.tune(HubConfig())
    await connection.abort()
    connection.release()
    assert not connection.has_lost_client()
    assert connection.is_stopping is None
    head = {"type": "http.response.start", "status": 200, "headers": []}
    with connection.told_of_stop(sent.clear):
        taken = await connection.take_over(None, head, b":\n\n")

    assert taken is None
    body = {"type": "http.response.body", "body": b":\n\n", "more_body": True}
    assert sent == [head, body]


async def outermost():
    marked = "by us"
    found = await asyncio.sleep(0, outermost_of_task())
    return found, marked


async def test_the_outermost_of_a_task():
    """Its module and its variables, from however far inside."""
    (module, variables), marked = await asyncio.create_task(outermost())

    assert module == __name__
    assert variables["marked"] == marked


def test_no_task():
    """In a thread, nothing is found."""
    assert outermost_of_task() == (None, {})
