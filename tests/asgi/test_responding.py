"""Streams with which views of ASGI applications answer."""

import asyncio
import contextlib
import gc
import itertools
import logging
import threading
import time

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from heliograph import HubConfig, InvalidFieldError
from heliograph.asgi import EventStreams
from heliograph.hub import Leave
from streams import until
from uvicorns import request, serving, until_left

EVENT_SOURCE = "Accept: text/event-stream"


@pytest.fixture(params=["h11", "httptools"])
def parser(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["taken", "sent"])
def take_over(request):
    return request.param


def around(make):
    """An application with one view, which returns an application, around which it has nothing."""

    async def app(scope, receive, send):
        await make()(scope, receive, send)

    return app


# What a client sends -> what it is given of "1", "2", "3", of which "2" is retained. FIRST
# stands for the id of the first.
RESUMES = [
    pytest.param({}, "", [], ["2"], id="retained"),
    pytest.param({"start": "now"}, "", [], [], id="now"),
    pytest.param({"start": "start"}, "", [], ["1", "2", "3"], id="start"),
    pytest.param({"start": 2}, "", [], ["2", "3"], id="number"),
    pytest.param({}, "", ["Last-Event-ID: FIRST"], ["2", "3"], id="header"),
    pytest.param({}, "?lastEventId=FIRST", [], ["2", "3"], id="query"),
    pytest.param(
        {"start": "now"}, "?lastEventId=x", ["Last-Event-ID: FIRST"], ["2", "3"],
        id="header-first",
    ),
    pytest.param({}, "", ["Last-Event-ID: ?"], ["gap", "2"], id="unknown"),
    pytest.param({}, "?start=start&channel=b&token=x&stat=1", [], ["2"], id="not-the-clients"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "query", "headers", "given"), RESUMES)
async def test_where_it_begins(options, query, headers, given):
    """As on the route: after the client's id; without one where the view says."""
    streams = EventStreams("memory:", private=True)
    app = around(lambda: streams.response("a", **options))
    async with streams, serving(app, lifespan="off") as port:
        first = await streams.publish("1", channel="a")
        await streams.publish("2", channel="a", retain=True)
        await streams.publish("3", channel="a")
        query, *headers = [text.replace("FIRST", first) for text in [query, *headers]]
        client = await (await request(port, query, *headers)).placed()
        await streams.publish("4", channel="a")
        await client.wait_for(lambda client: client.data[-1:] == ["4"])

    assert [
        "gap" if event.type == "heliograph.gap" else event.data for event in client.events
    ] == [*given, "4"]


# The fields of a request's body, and the body.
BODIES = {
    "none": ([], b""),
    "length": (["Content-Length: 5"], b"abcde"),
    "large": (["Content-Length: 300000"], b"a" * 300_000),
    "chunked": (["Transfer-Encoding: chunked"], b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
    "expected": (["Content-Length: 5", "Expect: 100-continue"], b"abcde"),
    "unfinished": (["Content-Length: 9"], b"abcde"),
    "pipelined": (
        ["Content-Length: 5"], b"abcdeGET /other HTTP/1.1\r\nHost: test\r\n\r\n",
    ),
}  # fmt: skip


async def test_methods_and_bodies(parser, take_over, caplog):
    """A body may have been read, or not, or come later: the connection is taken over."""
    streams = EventStreams("memory:", take_over=take_over)
    tasks, received = {}, {}

    async def app(scope, receive, send):
        path = scope["path"].removeprefix("/")
        parts = received[path] = []
        more = path.endswith("read") and path != "unfinished-read"
        while more:
            message = await receive()
            parts.append(message["body"])
            more = message.get("more_body", False)
        tasks[path] = asyncio.current_task()
        await streams.response("a")(scope, receive, send)

    async with streams, serving(app, http=parser, lifespan="off") as port:
        clients = []
        for kind, how in itertools.product(BODIES, ["read", "left"]):
            if kind == "pipelined" and not take_over:
                continue  # with httptools only a heartbeat finds out that its client has left
            headers, body = BODIES[kind]
            options = {"method": "POST", "version": "1.1", "body": body}
            clients.append(await request(port, f"{kind}-{how}", *headers, **options))
        assert {client.status for client in clients} == {200}
        await streams.publish("x", channel="a")
        for client in clients:
            await client.wait_for(lambda client: b"data: x" in client.raw)
        await until(lambda: {task.done() for task in tasks.values()} == {take_over})
        assert (await streams.statistics()).subscribers == len(tasks) == len(clients)
        for kind in ["length", "chunked", "expected"]:
            assert b"".join(received[f"{kind}-read"]) == b"abcde"
        for client in clients:
            client.leave()
        await until_left(streams, 0)
    assert not caplog.records


async def test_head(parser):
    """The head of the stream with what the application adds; no slot is taken."""
    streams = EventStreams("memory:")
    app = around(
        lambda: streams.response(
            "a", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Vary", "Cookie")]
        )
    )
    async with streams, serving(app, http=parser, lifespan="off") as port:
        client = await (await request(port, method="HEAD")).ended()

        head = client.raw.lower()
        assert (client.status, client.body) == (200, b"")
        for field in [b"set-cookie: a=1", b"set-cookie: b=2", b"vary: cookie"]:
            assert field in head
        assert b"content-type: text/event-stream; charset=utf-8" in head
        assert b"vary: accept-encoding" in head
        assert (await streams.statistics()).subscribers == 0


# What happens to a request, and what the client is answered with.
NO_STREAM = [
    pytest.param("", ["Last-Event-ID: " + "x" * 9000], 400, id="bad-id"),
    pytest.param("", ["Last-Event-ID: END"], 204, id="seen-the-end"),
    pytest.param("", [], 503, id="full"),
    pytest.param("", [EVENT_SOURCE], 200, id="full-for-an-event-source"),
]


@pytest.mark.parametrize(("query", "headers", "status"), NO_STREAM)
async def test_no_stream(take_over, query, headers, status):
    """Cookies and CORS arrive all the same, and fields that describe a body are its own."""
    left = []
    config = HubConfig(max_subscribers=1)
    streams = EventStreams("memory:", config=config, take_over=take_over)
    added = {"Access-Control-Allow-Origin": "*", "Set-Cookie": "a=1", "Content-Length": "7"}
    app = around(lambda: streams.response("a", on_leave=left.append, headers=added))
    async with streams, serving(app, lifespan="off") as port:
        end = await streams.end("a")
        async with contextlib.AsyncExitStack() as stack:
            if status in {503, 200}:
                await stack.enter_async_context(streams.subscribe("b"))
            headers = [text.replace("END", end) for text in headers]
            client = await (await request(port, query, *headers, method="POST")).ended()

        head, _, body = client.raw.partition(b"\r\n\r\n")
        assert client.status == status
        assert b"access-control-allow-origin: *" in head
        assert b"set-cookie: a=1" in head
        lengths = [
            int(line[16:]) for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length: ")
        ]  # fmt: skip
        assert lengths == ([] if status == 204 else [len(body)])
        assert (b"content-type" in head) == (status != 204)
        await until(lambda: left)
    # A client that has seen the end was admitted for a moment.
    (leave,) = left
    assert leave == Leave(leave.seconds, end) if status == 204 else Leave(0.0, None)


async def test_on_leave(parser, take_over, caplog):
    """Called once when the client has left, with its position, whoever has the connection."""
    left, threads = [], set()

    async def on_leave_async(leave):
        await asyncio.sleep(0)
        left.append(leave)
        threads.add(threading.current_thread())

    def on_leave(leave):
        left.append(leave)
        threads.add(threading.current_thread())

    def raising(leave):
        left.append(leave)
        raise LookupError("of on_leave")

    functions = [on_leave_async, on_leave, raising]
    streams = EventStreams("memory:", take_over=take_over)
    app = around(lambda: streams.response("a", on_leave=functions[len(left)]))
    async with streams, serving(app, http=parser, lifespan="off") as port:
        before = time.monotonic()
        for number in range(3):
            client = await (await request(port)).placed()
            last = await streams.publish("x", channel="a")
            await client.wait(1)
            assert len(left) == number
            client.leave()
            await until(lambda: len(left) > number)  # noqa: B023 - awaited here
            assert left[-1].last_event_id == last
            assert 0 < left[-1].seconds < time.monotonic() - before
            await until_left(streams, 0)

    assert threading.main_thread() in threads
    assert len(threads) == 2
    (record,) = [record for record in caplog.records if record.name == "heliograph.asgi"]
    assert record.levelno == logging.ERROR
    assert "raising" in record.getMessage()


async def test_on_leave_as_the_streams_close(take_over):
    """The end of the streams waits for it, and for what it publishes."""
    left = []

    async def on_leave(leave):
        await asyncio.sleep(0.01)
        await streams.publish("left", channel="b")
        left.append(leave)

    streams = EventStreams("memory:", take_over=take_over)
    app = around(lambda: streams.response("a", on_leave=on_leave))
    async with serving(app, lifespan="off") as port:
        async with streams:
            client = await (await request(port)).placed()
        assert len(left) == 1
        assert streams._hub.hub is None
        await client.ended()


async def test_on_leave_of_an_exception():
    """Also where the server or a middleware has failed before the head was sent."""
    left = []
    streams = EventStreams("memory:")

    async def send(message):
        raise OSError("of send")

    async def receive():
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": []}
    async with streams:
        with pytest.raises(OSError, match="of send"):
            await streams.response("a", on_leave=left.append)(scope, receive, send)
        await until(lambda: left)
        assert (await streams.statistics()).subscribers == 0
    assert len(left) == 1


@pytest.mark.parametrize(
    ("channels", "options", "error", "text"),
    [
        ([], {}, InvalidFieldError, "channel"),
        ([""], {}, InvalidFieldError, "channel"),
        (["a"], {"start": "nwo"}, InvalidFieldError, "did you mean 'now'"),
        (["a"], {"expires_in": 0}, InvalidFieldError, "expires_in"),
        (["a"], {"on_leave": "x"}, TypeError, r"write async def on_leave\(leave\)"),
        (["a"], {"on_leave": lambda: None}, TypeError, "cannot be called as on_leave"),
    ],
)
async def test_bad_arguments(channels, options, error, text):
    """The view is told at once."""
    with pytest.raises(error, match=text):
        EventStreams("memory:").response(*channels, **options)


async def test_other_kinds_of_connections():
    """A stream is HTTP."""
    with pytest.raises(ValueError, match="'websocket'"):
        await EventStreams("memory:").response("a")({"type": "websocket"}, None, None)


async def test_it_expires(take_over):
    """The stream ends, and the next request is the view's to answer."""
    streams = EventStreams("memory:", take_over=take_over)
    app = around(lambda: streams.response("a", expires_in=1))
    async with streams, serving(app, lifespan="off") as port:
        assert (await (await request(port)).ended()).status == 200


@pytest.mark.parametrize("kind", ["plain", "starlette"])
async def test_disconnected_while_the_view_decides(take_over, kind):
    """What the view has decided by is no longer true, so the client has to come again."""
    streams = EventStreams("memory:", take_over=take_over)
    revoked = []

    async def view(request):
        if not revoked:
            revoked.append(request)
            await streams.disconnect("a")
            await streams.publish("x", channel="b")
        return streams.response("a")

    async def plain(scope, receive, send):
        await (await view(scope))(scope, receive, send)

    app = plain if kind == "plain" else Starlette(routes=[Route("/", view)])
    async with streams, serving(app, lifespan="off") as port:
        assert (await (await request(port)).ended()).events == []


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.headers["x-added"] = "1"
        return response


async def test_middleware():
    """It takes the stream for one: nothing is held back or compressed, fields are added."""
    streams = EventStreams("memory:")

    async def view(request):
        assert await request.json() == {"a": 1}
        return streams.response("a")

    async def other(request):
        return PlainTextResponse("x" * 2000)

    app = Starlette(
        routes=[Route("/", view, methods=["POST"]), Route("/other", other)],
        middleware=[Middleware(GZipMiddleware, minimum_size=0), Middleware(Passing)],
    )
    async with streams, serving(app) as port:
        asked = ["Accept-Encoding: gzip", "Content-Length: 8"]
        assert b"content-encoding: gzip" in (await request(port, "other", asked[0])).raw
        client = await request(port, "", *asked, method="POST", body=b'{"a": 1}')
        await client.placed()
        assert b"x-added: 1" in client.raw
        assert b"content-encoding" not in client.raw
        await streams.publish("x", channel="a")
        assert (await client.wait(1))[0].data == "x"
        client.leave()


async def test_nothing_is_kept_of_a_request(take_over):
    """A response may be used for several requests, and leaves nothing behind."""
    streams = EventStreams("memory:", take_over=take_over)
    response = streams.response("a", on_leave=lambda leave: None)
    async with streams, serving(response, lifespan="off") as port:
        for _ in range(2):
            client = await (await request(port)).placed()
            client.leave()
            await until_left(streams, 0)
        await until(lambda: gc.collect() >= 0 and not streams._hub.tasks._tasks)
        assert response.__name__ == "ViewStream"
