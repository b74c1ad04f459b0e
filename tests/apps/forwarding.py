"""Responses and a task of the application that iterate over what is published."""

import asyncio
import contextlib

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from heliograph import Event, encode
from heliograph.asgi import EventStreams

streams = EventStreams("memory:")
counted = []


async def ping(request):
    return PlainTextResponse("pong")


async def publish(request):
    await streams.publish((await request.body()).decode())
    return PlainTextResponse(str(len(counted)))


async def forwarded(request):
    async def body():
        async with streams.subscribe() as events:
            yield b":\n\n"
            async for event in events:
                yield encode(event)
        yield encode(Event("the end"))

    return StreamingResponse(body(), media_type="text/event-stream")


async def count():
    async with streams.subscribe() as events:
        async for event in events:
            counted.append(event)


@contextlib.asynccontextmanager
async def lifespan(app):
    async with streams:
        counting = asyncio.create_task(count())
        yield
        await counting
        print("counted", len(counted))


async def untouched(request, call_next):
    return await call_next(request)


app = Starlette(
    routes=[
        Route("/ping", ping),
        Route("/publish", publish, methods=["POST"]),
        Route("/stream", forwarded),
    ],
    middleware=[Middleware(BaseHTTPMiddleware, dispatch=untouched)],
    lifespan=lifespan,
)
