"""One application in four frameworks, each with the middleware where its users put it."""

import asyncio
import pathlib

from fastapi import FastAPI
from quart import Quart
from quart import websocket as quart_websocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from heliograph import Event, encode
from heliograph.asgi import CORSMiddleware
from heliograph.cors import CorsPolicy


async def tenant(origin, request):
    await asyncio.sleep(0)
    return origin.endswith(".tenant.example")


policy = CorsPolicy(
    origins=["https://a.example", tenant],
    supports_credentials=True,
    allow_headers=["X-A"],
    expose_headers=["X-B"],
    max_age=600,
)
running = []
errors = []


async def numbers(last_event_id):
    n = int(last_event_id or 0)
    running.append(1)
    try:
        while True:
            n += 1
            yield encode(Event(str(n), id=str(n)))
            await asyncio.sleep(0.01)
    finally:
        running.pop()


async def hello(request):
    return PlainTextResponse("hello", headers={"Vary": "Cookie", "X-B": "b"})


async def own(request):
    return PlainTextResponse(
        "own", headers={"Access-Control-Allow-Origin": "https://own.example"}
    )


async def crash(request):
    raise LookupError("crash")


async def late(request):
    async def body():
        yield b"begun"
        raise LookupError("late")

    return StreamingResponse(body())


async def posted(request):
    return Response(b"data: x\n\n", media_type="text/event-stream")


async def merged(request):
    return PlainTextResponse("", headers={"Vary": "origin, Cookie"})


async def stream(request):
    return StreamingResponse(
        numbers(request.headers.get("last-event-id")), media_type="text/event-stream"
    )


async def count(request):
    return PlainTextResponse(str(len(running)))


async def count_handled(request):
    return PlainTextResponse(str(len(errors)))


async def echo(websocket):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


def routes():
    return [
        Route("/", hello),
        Route("/own", own),
        Route("/crash", crash),
        Route("/stream", stream),
        Route("/running", count),
        Route("/late", late),
        Route("/posted", posted, methods=["POST"]),
        Route("/merged", merged),
        Route("/handled", count_handled),
        WebSocketRoute("/echo", echo),
    ]


starlette = CORSMiddleware(Starlette(routes=routes()), policy)

inside = Starlette(routes=routes())
inside.add_middleware(CORSMiddleware, policy=policy)

fastapi = FastAPI(routes=routes())
fastapi.add_middleware(CORSMiddleware, policy=policy)


async def sorry(request, error):
    errors.append(error)
    return PlainTextResponse(f"sorry: {error}", status_code=500, headers={"X-B": "mine"})


handled = FastAPI(routes=routes(), exception_handlers={Exception: sorry})
handled.add_middleware(CORSMiddleware, policy=policy)

quart_app = Quart(__name__)


@quart_app.get("/")
async def quart_hello():
    return "hello", 200, {"Vary": "Cookie", "X-B": "b"}


@quart_app.get("/own")
async def quart_own():
    return "own", 200, {"Access-Control-Allow-Origin": "https://own.example"}


@quart_app.get("/crash")
async def quart_crash():
    raise LookupError("crash")


@quart_app.get("/stream")
async def quart_stream():
    from quart import request

    return (
        numbers(request.headers.get("last-event-id")),
        200,
        {"Content-Type": "text/event-stream"},
    )


@quart_app.get("/running")
async def quart_count():
    return str(len(running))


@quart_app.websocket("/echo")
async def quart_echo():
    await quart_websocket.send(await quart_websocket.receive())


quart_app.asgi_app = CORSMiddleware(quart_app.asgi_app, policy)
quart = quart_app


async def left(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def bare(scope, receive, send):
    """A plain application."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"]})
        return
    headers = {
        "/": [(b"Vary", b"Cookie"), (b"X-B", b"b")],
        "/own": [(b"Access-Control-Allow-Origin", b"https://own.example")],
        "/stream": [(b"Content-Type", b"text/event-stream; charset=utf-8")],
        "/running": [],
    }
    if scope["path"] not in headers:
        raise LookupError("crash")
    await send(
        {"type": "http.response.start", "status": 200, "headers": headers[scope["path"]]}
    )
    if scope["path"] == "/stream":
        last = dict(scope["headers"]).get(b"last-event-id", b"").decode()
        blocks = numbers(last)
        leaving = asyncio.create_task(left(receive))
        try:
            async for block in blocks:
                if leaving.done():
                    break
                await send({"type": "http.response.body", "body": block, "more_body": True})
        finally:
            leaving.cancel()
            await blocks.aclose()
        return
    body = (
        str(len(running)) if scope["path"] == "/running" else scope["path"][1:] or "hello"
    )
    await send({"type": "http.response.body", "body": body.encode()})


plain = CORSMiddleware(bare, policy)

open_to_all = CORSMiddleware(
    bare,
    CorsPolicy(
        origins=[
            "*",
            "null",
            "https://a.example",
            "https://*.b.example",
            tenant,
            r"https?://.*",
        ]
    ),
)

dangerous = CORSMiddleware(
    bare,
    CorsPolicy(
        origins="*",
        supports_credentials=True,
        dangerously_allow_any_origin_with_credentials=True,
    ),
)

# Inside of a framework, where others answer to what is raised through us.
folder = pathlib.Path(__file__).parent
mounted = Starlette(
    routes=[
        Route("/", hello),
        Mount("/files", CORSMiddleware(StaticFiles(directory=folder), policy)),
        Mount(
            "/routes",
            routes=routes(),
            middleware=[Middleware(CORSMiddleware, policy=policy)],
        ),
    ]
)


class Catching(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        try:
            return await call_next(request)
        except LookupError:
            return PlainTextResponse("caught", status_code=503)


caught = FastAPI(routes=routes())
caught.add_middleware(CORSMiddleware, policy=policy)
caught.add_middleware(Catching)

nested = CORSMiddleware(
    FastAPI(
        routes=[
            Route("/", hello),
            Mount(
                "/admin",
                CORSMiddleware(
                    Starlette(routes=routes()), CorsPolicy(origins="https://admin.example")
                ),
            ),
        ]
    ),
    CorsPolicy(origins="*", allow_private_network=True),
)
