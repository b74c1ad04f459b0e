"""Connections of their own: adopted, lost, closed."""

import asyncio
import contextlib
import socket

import pytest

from heliograph import Event, HubConfig
from heliograph.brokers import Retention
from heliograph.brokers.memory import MemoryBroker
from heliograph.brokers.values import Terms
from heliograph.hub import Admission, Hub
from heliograph.hub.connections import Connections
from heliograph.hub.tasks import Tasks
from heliograph.hub.timings import Timings
from heliograph.wire.framing import Framing
from hubs import fill, opened
from streams import HEAD, connect, until


async def test_half_closed_while_slow(caplog):
    """A client that stopped reading and says goodbye is forgotten at once, silently."""
    async with opened(send_buffer_bytes=4096) as hub:
        clients = [await connect(hub, "a", read_buffer=4096).placed() for _ in range(20)]
        for _ in range(20):
            await hub.publish(["a"], Event("x" * 20_000))
        await until(lambda: all(client.subscriber.sink.paused for client in clients))

        for client in clients[::2]:
            client.connection.shutdown(socket.SHUT_WR)
        for client in clients[1::2]:
            client.leave()
        for _ in range(20):
            await hub.publish(["a"], Event("x" * 20_000))

        await until(lambda: len(hub.connections) == 0)
        assert hub.statistics().subscribers == 0
    assert caplog.text == ""


async def test_a_connection_that_is_dead_already():
    """A client that left while it was taken over is forgotten."""
    async with opened() as hub:
        subscriber = hub.admit(Admission(("a",)))
        ours, theirs = socket.socketpair()
        theirs.close()
        ours.close()

        hub.adopt(subscriber, ours, HEAD)

        assert hub.statistics().subscribers == 0


async def test_a_connection_that_cannot_be_served(caplog):
    """It takes no slot, and is closed."""
    ours, theirs = socket.socketpair()
    async with opened() as hub:
        hub.connections.watch._epoll.close()
        with theirs:
            hub.adopt(hub.admit(Admission(("a",))), ours, HEAD)
            await until(lambda: hub.statistics().subscribers == 0)
            assert theirs.recv(9) == b""
        assert ours.fileno() == -1
        assert len(hub.connections) == 0
        hub.connections._watch = None
    assert "cannot serve a connection" in caplog.text


async def test_a_client_that_takes_the_rest_of_a_stream(faults):
    """Whoever is behind when its stream is ended has some time for it, and then has gone."""
    async with opened(timings=Timings(close_seconds=0.5)) as hub:
        client = await connect(hub, "a").placed()
        await fill(hub, client.subscriber)
        hub.finish(client.ticket)
        await client.ended()
        await asyncio.sleep(0.6)
    assert client.events
    assert faults == []


async def test_a_client_that_leaves_as_it_is_given_more(faults):
    """It is lost once, whatever the loop has yet to do with it."""
    async with opened(send_buffer_bytes=None) as hub:
        ours, theirs = (
            socket.create_server(("127.0.0.1", 0)),
            socket.socket(),
        )
        with ours, theirs:
            theirs.connect(ours.getsockname())
            theirs.setblocking(False)
            accepted, _ = ours.accept()
            ticket = hub.admit(Admission(("a",)))
            subscriber = hub._clients._admission.find(ticket.number)
            hub.adopt(ticket, accepted, HEAD)
            await until(lambda: subscriber.cursor is not None)
            await fill(hub, subscriber)
            for _ in range(3):
                await hub.publish(["a"], Event("x" * 60_000))

            loop = asyncio.get_running_loop()

            def drain():
                with contextlib.suppress(BlockingIOError):
                    while theirs.recv(1 << 20):
                        pass

            def make_room():
                drain()
                loop.call_soon(leave)

            def leave():
                # The loop has seen that it may write, and has not written.
                drain()
                theirs.close()

            loop.call_soon(make_room)
            await until(lambda: hub.statistics().subscribers == 0)
    assert faults == []


async def test_a_fault_while_a_client_is_located(caplog):
    """Its connection is closed, and its slot given back."""

    async def broken():
        raise ZeroDivisionError("a bug")

    failed = asyncio.Event()
    tasks = Tasks()
    connections = Connections(HubConfig(), tasks)
    ours, theirs = socket.socketpair()
    with theirs:
        connections.adopt(
            ours,
            HEAD,
            Framing.CHUNKED,
            before_head=broken,
            on_open=None,
            on_failed=failed.set,
        )

        await failed.wait()

        assert theirs.recv(99) == b""
    assert len(connections) == 0
    await tasks.cancel_all()
    assert "a bug" in caplog.text


async def test_adopting_while_the_hub_is_closed():
    """The client is sent a whole response, so it reconnects, and no task is started for it."""
    failed = asyncio.Event()
    tasks = Tasks()
    connections = Connections(HubConfig(), tasks)
    await connections.close(0.0)
    ours, theirs = socket.socketpair()
    with theirs:
        connections.adopt(
            ours,
            HEAD,
            Framing.CHUNKED,
            before_head=None,
            on_open=None,
            on_failed=failed.set,
        )

        assert theirs.recv(99) == HEAD + b"0\r\n\r\n"
        assert theirs.recv(99) == b""
    assert failed.is_set()
    assert not tasks._tasks


async def test_a_connection_that_cannot_be_ended(caplog):
    """The hub is closed all the same, with its broker."""
    hub = Hub(MemoryBroker(Retention(events=9, seconds=9.0)), HubConfig())
    await hub.open()
    await connect(hub, "a").placed()
    (sink,) = hub.connections.sinks
    keeper, sink.keeper = sink.keeper, None

    await hub.close()

    keeper.on_closed(sink)
    assert hub._broker._listener is None
    assert "cannot end a stream" in caplog.text


@pytest.mark.parametrize("end", ["all-seen", "closed", "finished"])
async def test_a_body_that_nobody_has_read(end):
    """It is read before a connection is closed at once, so that no reset meets the head."""
    async with opened() as hub:
        await hub.publish(["a"], Event("over"), Terms(is_end=True))
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
            client.connect(server.getsockname())
            accepted, _ = server.accept()
            client.sendall(b"x" * 60_000)
            # Until all has arrived.
            await until(lambda: len(accepted.recv(60_000, socket.MSG_PEEK)) == 60_000)
            ticket = hub.admit(Admission(("a",)))
            if end == "closed":
                await hub.close()
            if end == "finished":
                hub.finish(ticket)

            hub.adopt(ticket, accepted, HEAD)

            client.setblocking(False)
            loop, received = asyncio.get_running_loop(), b""
            while data := await loop.sock_recv(client, 4096):
                received += data
        assert received.startswith(HEAD.split()[0])
