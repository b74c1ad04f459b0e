"""Taking a connection over from uvicorn: what is touched, and what stays uvicorn's."""

import asyncio
import os
import socket
import struct

import pytest

from heliograph import HubConfig
from heliograph.asgi import EventStreams
from servers import free_port
from streams import until
from uvicorns import request, serving, until_left


@pytest.fixture(params=["h11", "httptools"])
def parser(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["taken", "sent"])
def take_over(request):
    return request.param


async def test_clients_that_reset(parser, take_over, caplog):
    """At once, before anything has been sent: uvicorn has nothing to complain about."""
    streams = EventStreams("memory:", take_over=take_over)
    async with serving(streams, http=parser, log_config=None) as port:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                linger = struct.pack("ii", 1, 0)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await asyncio.sleep(0.01)
        await (await request(port)).placed()
        await until_left(streams, 1)
    assert "without completing" not in caplog.text


async def test_a_middleware_that_changes_the_body(parser):
    """The connection is not taken from under it."""

    class Shouting:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def shout(message):
                if message["type"] == "http.response.body":
                    message = {**message, "body": message["body"].replace(b":\n", b": !\n")}
                await send(message)

            await self.app(scope, receive, shout if scope["type"] == "http" else send)

    streams = EventStreams("memory:")
    async with serving(Shouting(streams), http=parser) as port:
        client = await (await request(port)).placed()
        await streams.publish("x")
        await client.wait(1)
        assert b": !\n" in client.body
        assert len(asyncio.all_tasks()) > 3


class Around:
    """A middleware that does something before it sends a message."""

    def __init__(self, app, before):
        self.app, self.before = app, before

    async def __call__(self, scope, receive, send):
        async def sending(message):
            await self.before(message)
            await send(message)

        await self.app(scope, receive, sending if scope["type"] == "http" else send)


async def test_a_middleware_that_waits_at_the_end_of_the_request(parser):
    """The client has its head before that."""
    streams, goes_on = EventStreams("memory:"), asyncio.Event()

    async def before(message):
        if message.get("more_body") is False:
            await goes_on.wait()

    async with serving(Around(streams, before), http=parser) as port:
        client = await request(port)
        assert client.status == 200
        assert client.events == []
        goes_on.set()
        await client.placed()


async def test_storage_that_does_not_answer(parser):
    """The client has its head all the same, after a second."""
    config = HubConfig(heartbeat_seconds=None)
    streams = EventStreams(f"redis://127.0.0.1:{free_port()}/0", config=config)
    async with serving(streams, http=parser, log_config=None) as port:
        async with asyncio.timeout(20):
            client = await request(port)
        assert client.status == 200
        assert client.parser.last_event_id == ""


@pytest.mark.parametrize("has_streams", [True, False])
async def test_a_hub_that_is_closed_before_a_stream_begins(parser, has_streams, caplog):
    """The response is whole, and nothing is left open."""
    streams = EventStreams("memory:")
    closes = False

    async def before(message):
        if closes and message["type"] == "http.response.start":
            await streams.close()

    async with serving(Around(streams, before), http=parser, log_config=None) as port:
        if has_streams:
            await (await request(port)).placed()
        closes = True
        before_it = len(os.listdir("/proc/self/fd"))
        client = await (await request(port)).ended()
        assert client.status == 200
        assert client.events == []
        client.leave()
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before_it)
    assert "Traceback" not in caplog.text


async def test_a_stream_that_is_taken_over_holds_no_task(parser):
    """However many there are."""
    streams = EventStreams("memory:")
    async with serving(streams, http=parser) as port:
        await (await request(port)).placed()
        await asyncio.sleep(0.5)
        before = len(asyncio.all_tasks())
        for _ in range(20):
            await (await request(port)).placed()
        await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_a_client_that_leaves_behind_another_request(take_over):
    """Uvicorn tells the other one only; heartbeats find out."""
    config = HubConfig(heartbeat_seconds=0.05)
    streams = EventStreams("memory:", config=config, take_over=take_over)
    async with serving(streams, http="httptools") as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(2 * b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await reader.readuntil(b"id: ")
        assert (await streams.statistics()).subscribers == 1
        writer.transport.abort()

        async with asyncio.timeout(20):
            while (await streams.statistics()).subscribers:
                await asyncio.sleep(0.01)


async def test_a_uvicorn_that_is_not_known(monkeypatch, caplog):
    """It is left alone, and one line says so."""
    from uvicorn.protocols.http import flow_control

    class Otherwise(flow_control.FlowControl):
        def __init__(self, transport):
            super().__init__(transport)
            self.write_paused = 0

    monkeypatch.setattr("heliograph.servers.log_once._logged", set())
    monkeypatch.setattr("uvicorn.protocols.http.h11_impl.FlowControl", Otherwise)
    streams = EventStreams("memory:")
    async with serving(streams, http="h11", log_config=None) as port:
        for n in range(2):
            client = await (await request(port)).placed()
            await streams.publish(str(n))
            assert (await client.wait(1))[0].data == str(n)
    assert [r.message for r in caplog.records if r.name == "heliograph.servers"] == [
        "this uvicorn is not known: streams hold a task each (its objects are used otherwise)"
    ]
