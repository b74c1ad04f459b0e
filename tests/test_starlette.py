"""Streams as responses of Starlette and FastAPI."""

import contextlib

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi import Response as FastAPIResponse
from slowapi import Limiter
from slowapi.middleware import SlowAPIMiddleware
from slowapi.util import get_remote_address
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route

from heliograph import HubConfig
from heliograph.asgi import EventStreams
from heliograph.starlette import EventResponse
from streams import until
from uvicorns import request, serving, until_left


@pytest.fixture(params=[True, False], ids=["taken", "sent"])
def take_over(request):
    return request.param


async def test_fastapi(take_over):
    """Depends decides, and what dependencies, the view and middleware add arrives."""
    streams = EventStreams("memory:", private=True, take_over=take_over)
    left = []

    def user(name: str, response: FastAPIResponse):
        if name == "eve":
            raise HTTPException(401)
        response.set_cookie("of", "dependency")
        return name

    app = FastAPI()

    @app.api_route("/events", methods=["GET", "POST"], response_class=EventResponse)
    async def events(response: FastAPIResponse, name: str = Depends(user)) -> EventResponse:
        response.headers["X-Own"] = name
        stream = EventResponse(
            streams, f"user:{name}", headers=response.headers, on_leave=left.append
        )
        stream.set_cookie("of", "view")
        return stream

    @app.get("/plain")
    def plain():
        return EventResponse(streams, "user:ann", start="now")

    async with streams, serving(app) as port:
        assert (await request(port, "events?name=eve")).status == 401
        for query, method in [("events?name=ann", "GET"), ("events?name=ann", "POST")]:
            client = await (await request(port, query, method=method)).placed()
            assert b"set-cookie: of=dependency" in client.raw
            assert b"set-cookie: of=view" in client.raw
            assert b"x-own: ann" in client.raw
            assert client.raw.count(b"content-type") == 1
            assert b"content-length" not in client.raw
            last = await streams.publish("x", channel="user:ann")
            assert (await client.wait(1))[0].data == "x"
            client.leave()
            await until(lambda: left)
            assert left.pop().last_event_id == last
        await (await request(port, "plain")).placed()


def test_openapi():
    """The media type by itself; the schema of an event with the helper."""
    app = FastAPI()
    data = {"type": "object", "properties": {"done": {"type": "integer"}}}

    @app.get("/bare", response_class=EventResponse)
    def bare():
        """Not called."""

    @app.get("/events", response_class=EventResponse, responses=EventResponse.openapi(data))
    def events():
        """Not called."""

    paths = app.openapi()["paths"]
    assert [*paths["/bare"]["get"]["responses"]["200"]["content"]] == ["text/event-stream"]
    responses = paths["/events"]["get"]["responses"]
    content = responses["200"]["content"]
    event = content["text/event-stream"]["itemSchema"]
    assert [*content] == ["text/event-stream"]
    assert [*responses] == ["200", "204"]
    assert event["properties"]["data"]["contentSchema"] == data
    assert EventResponse.openapi()[200]["content"]["text/event-stream"]["itemSchema"][
        "properties"
    ]["data"] == {"type": "string"}


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        response.set_cookie("of", "middleware")
        return response


async def test_middleware():
    """Nothing is held back, compressed or counted, and slowapi finds a name."""
    streams = EventStreams("memory:")

    async def view(request):
        return EventResponse(streams, "a", headers={"Vary": "Cookie"})

    app = Starlette(
        routes=[Route("/", view)],
        middleware=[
            Middleware(GZipMiddleware, minimum_size=0),
            Middleware(Passing),
            Middleware(SlowAPIMiddleware),
        ],
    )
    app.state.limiter = Limiter(get_remote_address, default_limits=["2/minute"])
    async with streams, serving(app) as port:
        client = await (await request(port, "", "Accept-Encoding: gzip")).placed()
        await streams.publish("x", channel="a")
        assert (await client.wait(1))[0].data == "x"
        assert b"set-cookie: of=middleware" in client.raw
        assert b"content-encoding" not in client.raw
        assert b"content-length" not in client.raw
        for value in [b"vary: cookie", b"vary: accept-encoding"]:
            assert value in client.raw.lower()
        client.leave()


async def test_a_compressed_stream():
    """By the options of its channel."""
    config = HubConfig(channels={"a": {"compression": "blocks"}})
    streams = EventStreams("memory:", config=config)

    async def view(request):
        return EventResponse(streams, "a")

    async with streams, serving(Starlette(routes=[Route("/", view)])) as port:
        client = await request(port, "", "Accept-Encoding: gzip")
        assert b"content-encoding: gzip" in client.raw


async def test_background(take_over):
    """It runs beside the stream once that has begun, and also if there is none."""
    ran = []
    streams = EventStreams("memory:", take_over=take_over)

    async def job(number):
        ran.append(await streams.publish(number, channel="job"))

    app = FastAPI()

    @app.post("/jobs")
    async def start(background: BackgroundTasks):
        background.add_task(job, 1)
        background.add_task(streams.publish, 2, channel="job")
        return EventResponse(streams, "job", start="start")

    @app.post("/bad")
    async def bad():
        return EventResponse(streams, "job", background=BackgroundTask(ran.append, "bad"))

    async with streams, serving(app) as port:
        client = await request(port, "jobs", method="POST")
        assert [event.data for event in await client.wait(2)] == ["1", "2"]
        assert len(ran) == 1
        client.leave()
        await until_left(streams, 0)
        position = "Last-Event-ID: " + "x" * 9000
        assert (await request(port, "bad", position, method="POST")).status == 400
        await until(lambda: ran[1:] == ["bad"])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ([None], {}, TypeError, r"not None: return EventResponse\(streams, channel\)"),
        (["STREAMS", "a"], {"status_code": 201}, ValueError, "must be 200, not 201"),
        (["STREAMS"], {}, ValueError, "channel"),
    ],
)
def test_bad_arguments(arguments, options, error, text):
    """An error says what to write."""
    streams = EventStreams("memory:")
    given = [streams if value == "STREAMS" else value for value in arguments]
    with pytest.raises(error, match=text):
        EventResponse(*given, **options)


async def test_a_view_that_forgets_to_return():
    """FastAPI then makes a response of None: the log says what to write."""
    app = FastAPI()
    app.get("/", response_class=EventResponse)(lambda: None)
    async with serving(app, log_config=None) as port:
        with contextlib.suppress(AssertionError):
            assert (await request(port)).status == 500
