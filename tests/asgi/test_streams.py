"""Streams as an ASGI application: what is its own; the rest is in the tests of servers."""

import asyncio
import contextlib
import contextvars
import errno
import gc
import json
import os
import socket
import struct
import sys
import threading
import time
import weakref

import pytest
import uvicorn
from fastapi import FastAPI, Request
from quart import Quart
from starlette.routing import Mount, Route

from heliograph import (
    BrokerUnavailableError,
    ConfigError,
    EventTooLargeError,
    HubClosedError,
    HubConfig,
    InvalidFieldError,
    TooManySubscribersError,
)
from heliograph.asgi import EventStreams
from heliograph.asgi.around import Layer
from heliograph.asgi.arrivals import note_arrival
from heliograph.brokers import PlainChannels
from heliograph.cors import CorsPolicy
from streams import Client, connections, until


@contextlib.asynccontextmanager
async def serving(app, *, lifespan="on", **options):
    """A uvicorn on this loop, so that a test can publish without asking it."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=5,
        lifespan=lifespan,
        **options,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server._serve([listening]))
        await until(lambda: server.started or task.done())
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await task


async def request(port, query="", *headers, method="GET", version="1.0", read_buffer=None):
    """
    Request a stream, and return its client, with the head in ``raw``.

    Args:
        port: The port of a server.
        query: What follows the path, with its question mark.
        headers: Lines of the request's head.
        method: The method of the request.
        version: The version of HTTP.
        read_buffer: The bytes that the kernel keeps for a client that does not read;
            :obj:`None` for its default, which grows to megabytes.
    """
    connection = socket.socket()
    if read_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, read_buffer)
    connection.setblocking(False)
    connections.append(connection)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port))
    head = [f"{method} /{query} HTTP/{version}", "Host: test", *headers, "", ""]
    await loop.sock_sendall(connection, "\r\n".join(head).encode())
    client = Client(connection)
    while b"\r\n\r\n" not in client.raw:
        assert await client.read(), client.raw
    client.status = int(client.raw.split()[1])
    return client


@pytest.fixture(params=["h11", "httptools"])
def parser(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["taken", "sent"])
def take_over(request):
    return request.param


async def test_alone(parser, take_over):
    """It is an application of its own; its lifespan opens and closes it."""
    streams = EventStreams("memory:", take_over=take_over)
    async with serving(streams, http="h11") as port:
        client = await (await request(port, "?channel=a&channel=b")).placed()
        id_a = await streams.publish({"n": 1}, type="t", channel="a")
        await streams.publish("two", channel=["a", "b"])

        first, *_ = await client.wait(3)

        assert (first.type, first.data) == ("t", '{"n": 1}')
        assert sorted(event.data for event in client.events[1:]) == ["two", "two"]
        back = await request(port, "?channel=a", f"Last-Event-ID: {id_a}")
        assert [event.data for event in await back.wait(1)] == ["two"]
        assert (await streams.statistics()).subscribers == 2
    assert streams._hub is None


@pytest.mark.parametrize(
    ("query", "headers", "status", "text"),
    [
        ("?channel=%00", [], 400, "control characters"),
        ("?" + "&".join(f"channel={n}" for n in range(65)), [], 400, "1 to 64 channels"),
        ("?lastEventId=" + "x" * 9000, [], 400, "at most 8190 characters"),
        ("?token=forged", [], 403, "not signed"),
    ],
)
async def test_bad_requests(query, headers, status, text):
    """A clear answer, and no place is taken."""
    streams = EventStreams("memory:", secret_key="key")
    async with serving(streams) as port:
        client = await request(port, query, *headers)
        await client.ended()

        assert client.status == status
        assert text in client.body.decode()
        assert (await streams.statistics()).subscribers == 0


async def test_other_methods():
    """HEAD is answered with the head alone; nothing else is a stream."""
    async with serving(EventStreams("memory:")) as port:
        head = await (await request(port, method="HEAD")).ended()
        assert (head.status, head.body) == (200, b"")
        assert b"text/event-stream" in head.raw
        post = await (await request(port, method="POST")).ended()
        assert post.status == 405
        assert b"allow: GET, HEAD" in post.raw


@pytest.mark.parametrize(
    ("verdict", "private", "status"),
    [
        (True, True, 200), (True, False, 200),
        (None, True, 403), (None, False, 200),
        (False, True, 403), (False, False, 403),
        (0, False, 500), ("yes", True, 500),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_async", [True, False])
async def test_authorize(verdict, private, status, is_async):
    """It is asked with the channels and the scope; what is no answer lets nobody in."""
    asked = []

    def authorize(channels, scope):
        asked.append((channels, scope["path"]))
        return verdict

    async def authorize_async(channels, scope):
        await asyncio.sleep(0)
        return authorize(channels, scope)

    streams = EventStreams(
        "memory:", authorize=authorize_async if is_async else authorize, private=private
    )
    async with serving(streams, log_config=None) as port:
        client = await request(port, "?channel=b&channel=a")

        assert client.status == status
        assert asked == [(("a", "b"), "/")]


async def test_disconnect_while_a_client_is_authorised(take_over, tmp_path):
    """What it was authorised by is no longer true, so it has to come again."""
    url = f"sqlite:///{tmp_path}/log"
    revoked = []

    async def authorize(channels, scope):
        if not revoked:
            # Elsewhere, while nothing has been served here yet.
            revoked.append(channels)
            before = time.monotonic_ns()
            async with EventStreams(url) as others:
                await others.disconnect("a")
            await until(lambda: streams._hub._control._disconnects.latest > before)

    streams = EventStreams(url, authorize=authorize, take_over=take_over)
    async with serving(streams, lifespan="off") as port:
        await streams.statistics()
        ended = await (await request(port, "?channel=a")).ended()
        assert (ended.status, ended.events) == (200, [])
        await (await request(port, "?channel=a")).placed()
        assert (await streams.statistics()).subscribers == 1
        await streams.close()


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize(
    "framework", ["http-middleware", "plain-middleware", "mounted", "noted"]
)
async def test_a_permission_is_withdrawn_when_middleware_has_looked_at_it(
    tmp_path, framework, is_first
):
    """Whatever let the client in, and however many middlewares are in between."""
    streams = EventStreams(f"sqlite:///{tmp_path}/log")
    permitted = {"a"}

    async def look(query):
        if "channel=a" in query and "a" in permitted:
            # Somebody else, in that moment.
            permitted.clear()
            before = time.monotonic_ns()
            await streams.disconnect("a")
            await until(lambda: streams._hub._control._disconnects.latest > before)

    app = FastAPI(routes=[Route("/", streams)])
    if framework == "mounted":
        app = FastAPI(routes=[Mount("/", app)])
    if framework in {"http-middleware", "mounted"}:

        @app.middleware("http")
        async def authorise(request, call_next):
            await look(str(request.url))
            return await call_next(request)

    elif framework == "plain-middleware":

        class Authorise:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                await look(scope["query_string"].decode())
                await self.app(scope, receive, send)

        app.add_middleware(Authorise)
    else:

        async def app(scope, receive, send):
            scope["heliograph.arrived"] = time.monotonic_ns()
            await look(scope["query_string"].decode())
            await streams(scope, receive, send)

    async with serving(app, lifespan="off") as port:
        if not is_first:
            await (await request(port, "?channel=b")).placed()
        ended = await (await request(port, "?channel=a")).ended()
        assert ended.events == []
        assert b" 200 " in ended.raw.partition(b"\r\n")[0]
        if framework != "mounted":
            await (await request(port, "?channel=a")).placed()
        await (await request(port, "?channel=c")).placed()
        await streams.close()


async def test_layers_are_put_around_an_application_once():
    """Those for CORS and for arrivals, whichever comes first, and with each request."""
    policy = CorsPolicy(origins="https://page.example")
    open_streams = EventStreams("memory:")
    with_cors = EventStreams("memory:", cors=policy)
    app = FastAPI(routes=[Route("/a", open_streams), Route("/b", with_cors)])

    @app.get("/c")
    async def fresh(request: Request):
        # As middleware does that hands on a scope of its own.
        scope = {"type": "http", "app": request.scope["app"]}
        note_arrival(scope)
        return {}

    async with serving(app, lifespan="off") as port:
        for path in ("a", "b", "c") * 3:
            await request(port, path, "Origin: https://page.example")
        layers = []
        layer = app.middleware_stack
        while isinstance(layer, Layer):
            layers.append(type(layer).__name__)
            layer = layer.inner

        assert sorted(layers) == ["_Around", "_Arrivals"]
        await open_streams.close()
        await with_cors.close()


async def test_close_while_a_client_is_authorised(take_over):
    """What was disconnected meanwhile is not known, so it has to come again."""
    closed = []

    async def authorize(channels, scope):
        if not closed:
            closed.append(channels)
            await streams.close()

    streams = EventStreams("memory:", authorize=authorize, take_over=take_over)
    async with serving(streams) as port:
        assert (await (await request(port)).ended()).events == []
        await (await request(port)).placed()


asking = contextvars.ContextVar("asking")


class Asking:
    """What an application keeps of a request."""


@pytest.mark.parametrize("last_event_id", ["", "unknown"])
async def test_a_request_is_over_when_its_stream_is_taken_over(last_event_id):
    """Nothing keeps its context."""
    config = HubConfig(max_stream_seconds=600)
    streams = EventStreams("memory:", config=config)
    requests = []

    async def app(scope, receive, send):
        token = Asking()
        requests.append(weakref.ref(token))
        asking.set(token)
        del token
        await streams(scope, receive, send)

    async with serving(app, lifespan="off") as port:
        for _ in range(2):
            await (await request(port, "", f"Last-Event-ID: {last_event_id}")).placed()
        await until(lambda: gc.collect() >= 0 and not any(kept() for kept in requests))
        assert (await streams.statistics()).subscribers == len(requests) == 2
        await streams.close()


def in_fastapi(streams):
    return FastAPI(routes=[Route("/stream", streams)])


def in_quart(streams):
    quart = Quart(__name__)
    inner = quart.asgi_app

    async def app(scope, receive, send):
        served_by = streams if scope.get("path") == "/stream" else inner
        await served_by(scope, receive, send)

    quart.asgi_app = app
    return quart


@pytest.mark.parametrize("mounted", [in_fastapi, in_quart])
async def test_mounted(mounted, take_over):
    """Within a framework, beside its own routes."""
    streams = EventStreams("memory:", take_over=take_over)
    async with streams, serving(mounted(streams)) as port:
        client = await (await request(port, "stream?channel=a")).placed()
        await streams.publish("x", channel="a")
        assert (await client.wait(1))[0].data == "x"
        assert (await request(port, "other")).status == 404


async def test_private():
    """Without an authorizer only tokens let in."""
    streams = EventStreams("memory:", private=True, secret_key=["old", "new"])
    async with serving(streams) as port:
        assert (await request(port)).status == 403
        client = await request(port, "?" + streams.query("a", "b", expires_in=60))
        assert client.status == 200
        old = EventStreams("memory:", secret_key=b"old").query("a", expires_in=60)
        assert (await request(port, "?" + old)).status == 200


async def test_without_the_package_that_signs(monkeypatch):
    """Who signs is told at start; who does not needs none, whatever a client sends."""
    monkeypatch.setitem(sys.modules, "itsdangerous", None)
    monkeypatch.delitem(sys.modules, "heliograph.tokens", raising=False)
    with pytest.raises(
        ConfigError, match=r"needs itsdangerous: pip install 'heliograph\[asgi\]'"
    ):
        EventStreams("memory:", secret_key="key")
    async with serving(EventStreams("memory:")) as port:
        refused = await (await request(port, "?token=x")).ended()
        assert (refused.status, refused.body) == (
            403,
            b"this application signs no tokens\n",
        )


async def test_a_token_expires(take_over):
    """Its stream ends, and the connection with it."""
    streams = EventStreams("memory:", secret_key="key", take_over=take_over)
    async with serving(streams) as port:
        client = await request(port, "?" + streams.query("a", expires_in=2))
        await client.ended()
        assert client.status == 200


async def test_caps():
    """Over the cap: 503, and when to come back."""
    config = HubConfig(max_subscribers=1, retry_after_seconds=7)
    async with serving(EventStreams("memory:", config=config)) as port:
        await (await request(port)).placed()
        refused = await (await request(port)).ended()
        assert refused.status == 503
        assert b"retry-after: 7" in refused.raw


async def test_cors(take_over):
    """Pages of other origins may listen if the policy says so."""
    policy = CorsPolicy(origins="https://a.example")
    streams = EventStreams("memory:", cors=policy, take_over=take_over)
    async with serving(streams) as port:
        client = await request(port, "", "Origin: https://a.example")
        assert b"access-control-allow-origin: https://a.example" in client.raw
        await client.placed()
        other = await (await request(port, "", "Origin: https://b.example")).ended()
        assert other.status == 403
        await until_left(streams, 1)


async def until_left(streams, count):
    while (await streams.statistics()).subscribers > count:
        await asyncio.sleep(0.01)


async def test_clients_that_leave(parser, take_over):
    """They are noticed at once, whatever they wait for."""
    streams = EventStreams("memory:", take_over=take_over)
    async with serving(streams, http=parser) as port:
        clients = [await (await request(port)).placed() for _ in range(20)]
        for client in clients:
            client.leave()
        await until_left(streams, 0)


async def test_a_client_that_does_not_read(parser, take_over):
    """It is cut off when it is too far behind, and comes back for the rest."""
    config = HubConfig(
        max_event_bytes=100_000, max_lag_bytes=200_000, send_buffer_bytes=65_536
    )
    streams = EventStreams("memory:", config=config, take_over=take_over)
    async with serving(streams, http=parser) as port:
        # Otherwise it takes some hundred events to fill what the kernels of both ends hold.
        slow = await (await request(port, read_buffer=65_536)).placed()
        quick = await (await request(port)).placed()
        start = slow.parser.last_event_id
        for n in range(30):
            await streams.publish(f"{n} {'x' * 90_000}")
            await quick.wait(n + 1)
        await until_left(streams, 1)
        assert (await streams.statistics()).lagging_disconnected == 1
        with contextlib.suppress(ConnectionError):
            while await slow.read():
                pass
        back = await request(port, "", f"Last-Event-ID: {slow.parser.last_event_id}")
        missing = 30 - len(slow.events)
        assert start
        assert missing > 0
        got = [*slow.events, *(await back.wait(missing))]
        assert [int(event.data.split()[0]) for event in got] == list(range(30))


@pytest.mark.parametrize("turns", range(5))
async def test_a_client_that_is_given_up_and_leaves(turns):
    """Both at once, in whatever order: neither fails, and the others have their events."""
    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": []}
    left = asyncio.Event()

    async def receive():
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if b"data: x" in message.get("body", b""):
            await asyncio.Event().wait()  # the client does not read

    async with EventStreams("memory:") as streams:
        stream = asyncio.create_task(streams(scope, receive, send))
        await until(lambda: len(streams._hub._clients))
        (subscriber,) = streams._hub._clients._admission
        await until(lambda: subscriber.cursor is not None)
        async with streams.subscribe() as others:
            await streams.publish("x")
            await asyncio.sleep(0.01)
            left.set()
            for _ in range(turns):
                await asyncio.sleep(0)
            subscriber._sink.abort()
            await asyncio.sleep(0)
            subscriber._sink.abort()
            await stream
            await streams.publish("y")
            assert [(await anext(others)).data for _ in range(2)] == ["x", "y"]


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


async def test_a_client_that_the_kernel_gives_up():
    """Whatever error a server makes of it, the client has left, and that is all."""

    async def send(message):
        if b"retry" in message.get("body", b""):
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    async with EventStreams("memory:") as streams:
        scope = {"type": "http", "method": "GET", "query_string": b"", "headers": []}
        await streams(scope, asyncio.Event().wait, send)
        assert (await streams.statistics()).subscribers == 0


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


async def test_a_uvicorn_that_is_not_known(monkeypatch, caplog):
    """It is left alone, and one line says so."""
    from uvicorn.protocols.http import flow_control

    class Otherwise(flow_control.FlowControl):
        def __init__(self, transport):
            super().__init__(transport)
            self.write_paused = 0

    monkeypatch.setattr("heliograph.servers.asgi._told", set())
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


# For programs.


async def test_subscribe_with_the_id_of_no_place():
    """As one has it who was cut off at once: that begins now, and is no gap."""
    async with (
        EventStreams("memory:") as streams,
        streams.subscribe("a", last_event_id="") as events,
    ):
        await streams.publish("x", channel="a")
        assert (await anext(events)).data == "x"


async def test_a_websocket_is_refused():
    """With 403 and without an error in the log."""
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await EventStreams("memory:")({"type": "websocket"}, receive, send)
    assert sent == [{"type": "websocket.close"}]


async def test_subscribe():
    """Nothing that is published within the block is missed."""
    async with EventStreams("memory:") as streams:
        async with streams.subscribe("a", "b") as events:
            start = events.last_event_id
            for n in range(3):
                await streams.publish(n, channel="ab"[n % 2])
            got = [await anext(events) for _ in range(3)]
            assert [event.data for event in got] == ["0", "1", "2"]
            assert events.last_event_id == got[-1].id
        assert (await streams.statistics()).subscribers == 0
        async with streams.subscribe("a", "b", last_event_id=got[0].id) as events:
            assert [(await anext(events)).data for _ in range(2)] == ["1", "2"]
        async with streams.subscribe("a", "b", last_event_id=start) as events:
            assert (await anext(events)).data == "0"
        async with streams.subscribe("a", last_event_id="junk") as events:
            gap = await anext(events)
            assert (gap.type, json.loads(gap.data)["channels"]) == ("heliograph.gap", ["a"])


async def test_a_subscription_that_is_slow():
    """It is given everything, however late, and holds little meanwhile."""
    config = HubConfig(max_event_bytes=50_000, max_lag_bytes=100_000)
    async with (
        EventStreams("memory:", config=config) as streams,
        streams.subscribe() as events,
    ):
        for n in range(50):
            await streams.publish(f"{n} {'x' * 40_000}")
            await asyncio.sleep(0)
        await until(lambda: streams._hub.statistics().lagging_disconnected)
        for n in range(50):
            assert (await anext(events)).data.split()[0] == str(n)
        await streams.publish("last")
        assert (await anext(events)).data == "last"


@pytest.mark.parametrize("end", ["close", "disconnect"])
async def test_a_subscription_that_is_ended(end):
    """The iteration ends after what was published before."""
    async with EventStreams("memory:") as streams, streams.subscribe("a") as events:
        await streams.publish("x", channel="a")
        await asyncio.sleep(0.01)
        await (streams.close() if end == "close" else streams.disconnect("a"))

        assert [event.data async for event in events] == ["x"]


async def leave_behind(streams):
    """Publish fifty events, more than a subscription is held for that does not take them."""
    for n in range(50):
        await streams.publish(f"{n} " + "x" * 10_000, channel="a")
        await asyncio.sleep(0)
    await until(lambda: streams._hub.statistics().lagging_disconnected)


async def test_a_slow_subscription_whose_place_is_taken():
    """It is told, and goes on from where it was when there is a place again."""
    config = HubConfig(max_subscribers=1, max_lag_bytes=300_000)
    async with (
        EventStreams("memory:", config=config) as streams,
        streams.subscribe("a") as events,
    ):
        await leave_behind(streams)
        async with streams.subscribe("b"):
            with pytest.raises(TooManySubscribersError):
                await anext(events)

        got = [(await anext(events)).data.split()[0] for _ in range(50)]
    assert got == [str(n) for n in range(50)]


async def test_a_slow_subscription_and_many_disconnects():
    """Those of other channels, and those before it was cut off, do not end it."""
    config = HubConfig(max_lag_bytes=300_000)
    async with (
        EventStreams("memory:", config=config) as streams,
        streams.subscribe("a") as events,
    ):
        for n in range(10_001):
            streams._hub._control._disconnects.note(f"other{n}")
        await leave_behind(streams)

        got = [(await anext(events)).data.split()[0] for _ in range(50)]
        assert got == [str(n) for n in range(50)]


async def test_a_slow_subscription_that_is_disconnected():
    """Also while it is cut off: then it does not come back."""
    config = HubConfig(max_lag_bytes=300_000)
    async with (
        EventStreams("memory:", config=config) as streams,
        streams.subscribe("a") as events,
    ):
        await leave_behind(streams)
        before = time.monotonic_ns()
        await streams.disconnect("a")
        await until(lambda: streams._hub._control._disconnects.latest > before)

        got = [event.data.split()[0] async for event in events]
        assert got == [str(n) for n in range(len(got))]
        assert len(got) < 50


async def test_a_subscription_takes_a_place():
    """Among the caps, as streams do."""
    async with EventStreams("memory:", config=HubConfig(max_subscribers=1)) as streams:
        async with streams.subscribe("a"):
            with pytest.raises(TooManySubscribersError):
                async with streams.subscribe("a"):
                    pass
        async with streams.subscribe("a"):
            pass


# Mistakes.


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"url": "nonsense:"}, "no broker"),
        ({"url": "memory:", "secret_key": ""}, "secret_key must not be empty"),
        ({"url": "memory:", "secret_key": ["a", ""]}, "secret_key must not be empty"),
        (
            {"url": "memory:", "plain_channels": PlainChannels("sse")},
            "plain channels are Redis's",
        ),
        ({"url": "memory:", "secret_key": 5}, "secret_key must be text, bytes, or several"),
        ({"url": "memory:", "config": {}}, "config must be a HubConfig, not {}"),
        ({"url": "memory:", "authorize": "x"}, "authorize must be a function, not 'x'"),
        ({"url": "memory:", "dumps": 3}, "dumps must be a function, not 3"),
        ({"url": "memory:", "private": "no"}, "private must be True or False, not 'no'"),
        ({"url": "memory:", "private": None}, "private must be True or False, not None"),
        ({"url": "memory:", "take_over": 1}, "take_over must be True or False, not 1"),
        ({"url": "memory:", "cors": "https://a.example"}, "cors must be a CorsPolicy, not"),
        (
            {"url": "redis://a", "plain_channels": "sse"},
            "plain_channels must be PlainChannels.*, not 'sse'",
        ),
    ],
)
def test_bad_arguments(arguments, text):
    """A mistake shows at once."""
    with pytest.raises(ConfigError, match=text):
        EventStreams(**arguments)


async def test_bad_calls(tmp_path):
    """Errors name what was wrong."""
    async with EventStreams("memory:") as streams:
        with pytest.raises(InvalidFieldError, match="channel"):
            await streams.publish("x", channel="")
        with pytest.raises(InvalidFieldError, match="JSON"):
            await streams.publish({"x": float("nan")})
        with pytest.raises(EventTooLargeError):
            await streams.publish("x" * 300_000)
        with pytest.raises(InvalidFieldError, match="channel"):
            await streams.disconnect("\n")
        with pytest.raises(InvalidFieldError, match="channel"):
            async with streams.subscribe("\n"):
                pass
        with pytest.raises(InvalidFieldError, match="channel"):
            async with streams.subscribe(""):
                pass
        with pytest.raises(InvalidFieldError, match="last_event_id"):
            async with streams.subscribe("a", last_event_id=b"1-1"):
                pass
        with pytest.raises(ConfigError, match="secret_key"):
            streams.query("a", expires_in=5)
    streams = EventStreams(f"sqlite:///{tmp_path}/missing/log")
    with pytest.raises(BrokerUnavailableError):
        await streams.publish("x")
    await streams.close()


def test_loops():
    """It belongs to a loop; when that is gone it begins anew on another."""
    streams = EventStreams("memory:")

    async def use():
        await streams.publish("x")

    async def use_elsewhere():
        await use()
        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, use())
        await streams.close()

    asyncio.run(use_elsewhere())
    asyncio.run(use_elsewhere())


async def test_closing_while_it_opens():
    """What is being opened is closed; another loop has to wait until then."""
    streams = EventStreams("memory:")
    publishing = asyncio.create_task(streams.publish("x"))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(asyncio.run, streams.publish("y"))
    await asyncio.gather(streams.close(), publishing, return_exceptions=True)
    assert streams._hub is None


def test_loops_that_end_without_closing(tmp_path):
    """What they had open is dropped, as test clients of frameworks do with each request."""
    streams = EventStreams(f"sqlite:///{tmp_path}/log")

    def use():
        asyncio.run(streams.publish("x"))
        gc.collect()
        return threading.active_count() + len(os.listdir("/proc/self/fd"))

    before = use()
    deadline = time.monotonic() + 20
    # Each would leave two threads and eight descriptors; threads take a moment to end.
    while (now := [use() for _ in range(20)][-1]) > before + 20:
        assert time.monotonic() < deadline, (before, now)


async def test_other_kinds_of_connections():
    """A stream is HTTP, and a server that asks for something else is told so."""
    with pytest.raises(ValueError, match="'webtransport'"):
        await EventStreams("memory:")({"type": "webtransport"}, None, None)


async def test_a_stream_while_it_closes():
    """It ends at once: a browser comes back by itself then, and would not after an error."""
    streams = EventStreams("memory:")
    async with serving(streams) as port:
        streams._hub.finish_all()
        late = await (await request(port)).ended()
        assert (late.status, late.events) == (200, [])
        assert (await streams.statistics()).subscribers == 0
        with pytest.raises(HubClosedError):
            async with streams.subscribe():
                pass
