"""Streams end when uvicorn stops, whenever they began, and it waits for none of them."""

import asyncio
import contextlib
import socket

import pytest
import uvicorn
from uvicorn.server import ServerState

from heliograph.asgi import EventStreams
from heliograph.servers.uvicorn_stop import Stop
from streams import until
from uvicorns import request, serving


@pytest.fixture(params=["h11", "httptools"])
def parser(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["taken", "sent"])
def take_over(request):
    return request.param


async def test_a_stream_that_begins_while_uvicorn_stops(parser, caplog):
    """It ends like the others, although uvicorn has told its connections by then."""
    asked, told = asyncio.Event(), asyncio.Event()

    async def authorize(channels, scope):
        if channels == ("late",):
            asked.set()
            await told.wait()

    streams = EventStreams("memory:", authorize=authorize)
    async with serving(streams, http=parser, log_config=None) as port:
        early = await (await request(port)).placed()
        late = asyncio.create_task(request(port, "?channel=late"))
        await asked.wait()
        early.ending = asyncio.create_task(early.ended())
        early.ending.add_done_callback(lambda _: told.set())
    await (await late).ended()
    assert "graceful shutdown exceeded" not in caplog.text


async def test_a_client_that_does_not_read_while_uvicorn_stops(parser, caplog):
    """It is not waited for."""
    streams = EventStreams("memory:")
    async with serving(streams, http=parser, log_config=None) as port:
        await (await request(port)).placed()
        for _ in range(100):
            await streams.publish("x" * 100_000)
        await asyncio.sleep(0)
    assert "graceful shutdown exceeded" not in caplog.text


async def when_told(port, event):
    """Set an event when uvicorn has closed what it listens on: it tells its connections then."""
    with pytest.raises(ConnectionRefusedError):
        while True:
            await asyncio.sleep(0.01)
            socket.create_connection(("127.0.0.1", port)).close()
    event.set()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_the_first_stream_while_uvicorn_stops(parser, version, take_over, caplog):
    """It ends by itself, although uvicorn has told its connections before it began."""
    asked, stopping = asyncio.Event(), asyncio.Event()

    async def authorize(channels, scope):
        asked.set()
        await stopping.wait()

    streams = EventStreams("memory:", authorize=authorize, take_over=take_over)
    async with serving(streams, http=parser, log_config=None) as port:
        task = asyncio.create_task(request(port, version=version))
        await asked.wait()

        going_on = asyncio.create_task(when_told(port, stopping))
    await going_on
    await (await task).ended()
    assert "graceful shutdown exceeded" not in caplog.text


@pytest.mark.parametrize("asks_to_close", [False, True])
async def test_a_late_stream_while_uvicorn_stops(parser, take_over, asks_to_close, caplog):
    """It reaches us after uvicorn has told its connections, whether it may be seen or not."""
    streams = EventStreams("memory:", take_over=take_over)
    asked, told = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        if b"late" in scope["query_string"]:
            asked.set()
            await told.wait()
        await streams(scope, receive, send)

    async with serving(app, http=parser, lifespan="off", log_config=None) as port:
        # One that is not late, and therefore one that is told.
        early = await (await request(port, version="1.1")).placed()
        headers = ["Connection: close"] if asks_to_close else []
        late = asyncio.create_task(request(port, "?late", *headers, version="1.1"))
        await asked.wait()
        ending = asyncio.create_task(early.ended())
        ending.add_done_callback(lambda _: told.set())
    await ending
    await (await late).ended()
    assert "graceful shutdown exceeded" not in caplog.text
    await streams.close()


async def test_a_late_stream_before_another_request(parser, take_over, caplog):
    """Uvicorn has told the request behind it, which says so of the connection."""
    streams = EventStreams("memory:", take_over=take_over)
    asked, told = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send):
        asked.set()
        await told.wait()
        await streams(scope, receive, send)

    async with serving(app, http=parser, lifespan="off", log_config=None) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(2 * b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await asked.wait()

        going_on = asyncio.create_task(when_told(port, told))
    await going_on
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    assert "graceful shutdown exceeded" not in caplog.text
    await streams.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: test\r\nProxy-Connection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: test\r\nProxy-Connection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: test\r\n\r\n",
        b"GET / HTTP/0.9\r\nHost: test\r\n\r\n",
    ],
)
async def test_a_request_that_ends_its_connection(parser, take_over, head):
    """That does not mean that uvicorn stops: streams begin and go on."""
    streams = EventStreams("memory:", take_over=take_over)
    async with serving(streams, http=parser) as port:
        before = await (await request(port, version="1.1")).placed()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        await reader.readuntil(b"\r\n\r\n")
        after = await (await request(port, version="1.1")).placed()
        await streams.publish("x")
        for client in (before, after):
            assert (await client.wait(1))[0].data == "x"
        writer.close()


async def test_two_servers(parser, take_over):
    """One that stops does not end the streams of the other, nor keep them from beginning."""
    streams = EventStreams("memory:", take_over=take_over)

    def server():
        config = uvicorn.Config(
            streams, http=parser, port=0, lifespan="off", log_level="warning"
        )
        return uvicorn.Server(config)

    one, other = server(), server()
    tasks = []
    for each in (one, other):
        tasks.append(asyncio.create_task(each.serve()))
        await until(lambda each=each: each.started)
    ports = [each.servers[0].sockets[0].getsockname()[1] for each in (one, other)]
    clients = [await (await request(port)).placed() for port in ports]
    other.should_exit = True
    await tasks[1]
    await clients[1].ended()
    late = await (await request(ports[0])).placed()
    await streams.publish("x")
    for client in (clients[0], late):
        assert (await client.wait(1))[0].data == "x"
    one.should_exit = True
    await tasks[0]
    await streams.close()


async def test_a_task_while_uvicorn_stops(parser, caplog):
    """A stream that could not be taken over ends as well."""
    streams = EventStreams("memory:", take_over=False)
    async with serving(streams, http=parser, log_config=None) as port:
        client = await (await request(port)).placed()
        await streams.publish("last")
    await client.ended()
    assert client.data == ["last"]
    assert "graceful shutdown exceeded" not in caplog.text


def test_a_stream_that_cannot_be_told(caplog):
    """The others are told, and uvicorn goes on with its own stop."""
    state, told = ServerState(), []
    stop = Stop(state)
    with stop.telling(None, lambda: 1 / 0), stop.telling(None, lambda: told.append(1)):
        stop.shutdown()

    assert told == [1]
    assert caplog.text.count("cannot tell a stream that uvicorn stops") == 1
