"""The application of ``plain.py`` for ASGI, as people write it with Starlette."""

import asyncio
import contextlib
import dataclasses
import gc
import json
import os
from pathlib import Path

import marking  # noqa: F401 - marks the log
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

from heliograph import HubConfig
from heliograph.asgi import EventStreams
from heliograph.starlette import EventResponse


def _configured(prefix="APP_SSE_"):
    for name, value in os.environ.items():
        if name.startswith(prefix) and name not in {f"{prefix}TAKE_OVER", f"{prefix}URL"}:
            yield name.removeprefix(prefix).lower(), _read(value)


def _read(value):
    # As Flask reads the environment.
    try:
        return json.loads(value)
    except ValueError:
        return value


Path(os.environ["INSTANCE"]).mkdir(exist_ok=True)
streams = EventStreams(
    os.environ.get("APP_SSE_URL", f"sqlite:///{os.environ['INSTANCE']}/heliograph.sqlite3"),
    config=HubConfig(**dict(_configured())),
    secret_key="for tests",
    take_over=os.environ.get("APP_SSE_TAKE_OVER") != "false",
)


async def ping(request):
    return PlainTextResponse("pong")


async def big(request):
    return PlainTextResponse("x" * 2_000_000)


async def publish(request):
    channels = request.query_params.getlist("channel") or "sse"
    return PlainTextResponse(await streams.publish(await request.json(), channel=channels))


asked, left, closed = [], [], []


async def ask(request):
    """Answer with a stream of one's own, with or without a look at the body."""
    channel = request.query_params["channel"]
    asked.append(channel)

    async def on_leave(leave):
        left.append(dataclasses.asdict(leave))
        closed.append(channel)

    response = EventResponse(streams, channel, on_leave=on_leave)
    response.set_cookie("asked", "yes")
    if "unread" not in request.query_params:
        response.headers["X-Body"] = str(len(await request.body()))
    return response


async def who_has_left(request):
    return JSONResponse({"asked": asked, "left": left, "closed": closed})


async def end(request):
    return PlainTextResponse(await streams.end(request.query_params["channel"], "over"))


async def forwarded(request):
    """Forward the events of a channel, in a response that uvicorn waits for."""

    async def lines():
        async with streams.subscribe(request.query_params["channel"]) as events:
            yield "begun\n"
            async for event in events:
                yield f"{event.data}\n"
        yield "ended\n"

    return StreamingResponse(lines(), media_type="text/plain")


async def statistics(request):
    statistics = dataclasses.asdict(await streams.statistics())
    tasks = len(asyncio.all_tasks())
    return JSONResponse({"pid": os.getpid(), "tasks": tasks} | statistics)


async def collect(request):
    """Drop what the server has left to the garbage collector."""
    return PlainTextResponse(str(gc.collect()))


async def disconnect(request):
    await streams.disconnect(request.query_params["channel"])
    return PlainTextResponse("")


@contextlib.asynccontextmanager
async def lifespan(app):
    async with streams:
        yield


class Hooks:
    """Adds headers on the way to the server, as middleware does."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_more(message):
            if message["type"] == "http.response.start":
                headers = [*message["headers"]]
                headers.append((b"access-control-allow-origin", b"https://page.example"))
                if b"cookie" in scope["query_string"]:
                    headers.append((b"set-cookie", b"session=visited"))
                    headers.append((b"vary", b"Cookie"))
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_more if scope["type"] == "http" else send)


app = Starlette(
    routes=[
        Route("/stream", streams),
        Route("/ping", ping),
        Route("/big", big),
        Route("/publish", publish, methods=["POST"]),
        Route("/ask", ask, methods=["GET", "POST"]),
        Route("/left", who_has_left),
        Route("/end", end, methods=["POST"]),
        Route("/forwarded", forwarded),
        Route("/statistics", statistics),
        Route("/collect", collect, methods=["POST"]),
        Route("/disconnect", disconnect, methods=["POST"]),
    ],
    middleware=[Middleware(Hooks)],
    lifespan=lifespan,
)
