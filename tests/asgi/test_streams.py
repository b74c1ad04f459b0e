"""Streams as an ASGI application: what is its own; the rest is in the tests of servers."""

import asyncio
import contextlib
import contextvars
import gc
import json
import os
import sys
import threading
import time
import weakref

import pytest
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
from streams import until
from uvicorns import request, serving, until_left


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
