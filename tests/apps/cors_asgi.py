"""What a page of another origin asks for, in Starlette."""

import asyncio
import collections
import os
from http.cookies import SimpleCookie

from cors_policies import policies
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from heliograph import Event, encode
from heliograph.asgi import CORSMiddleware
from heliograph.cors import CorsPolicy

preflights = collections.Counter()
published = []
changed = asyncio.Condition()
# One entry for each time that all streams have been cut.
cuts = []


async def echo(request):
    cookie = SimpleCookie(request.headers.get("cookie", "")).get("visitor")
    return JSONResponse(
        {"method": request.method, "cookie": cookie and cookie.value},
        int(request.query_params.get("status", 200)),
        {"X-Shown": "yes", "X-Hidden": "no"},
    )


async def login(request):
    return Response(status_code=204, headers={"Set-Cookie": "visitor=ann; Path=/"})


async def events(request):
    return StreamingResponse(
        stream(int(request.headers.get("last-event-id", len(published)))),
        media_type="text/event-stream",
    )


async def stream(place):
    begun = len(cuts)
    yield f"retry: 100\nid: {place}\n\n".encode()
    while True:
        async with changed:
            while len(cuts) == begun and len(published) == place:
                await changed.wait()
        if len(cuts) != begun:
            return
        for data in published[place:]:
            place += 1
            yield encode(Event(data, id=str(place)))


async def publish(request):
    published.append((await request.body()).decode())
    async with changed:
        changed.notify_all()
    return Response()


async def cut(request):
    cuts.append(request.method)
    async with changed:
        changed.notify_all()
    return Response()


async def count(request):
    return PlainTextResponse(str(preflights["/" + request.path_params["path"]]))


async def ping(request):
    return PlainTextResponse("pong")


def below(name, options):
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "REPORT"]
    routes = [
        Route("/echo", echo, methods=methods),
        Route("/login", login, methods=["POST"]),
        Route("/events", events),
    ]
    return Mount(
        f"/{name}", CORSMiddleware(Starlette(routes=routes), CorsPolicy(**options))
    )


starlette = Starlette(
    routes=[
        *(below(name, options) for name, options in policies(os.environ["PAGE"]).items()),
        Route("/preflights/{path:path}", count),
        Route("/publish", publish, methods=["POST"]),
        Route("/cut", cut, methods=["POST"]),
        Route("/ping", ping),
    ]
)


async def app(scope, receive, send):
    if scope["type"] == "http" and scope["method"] == "OPTIONS":
        preflights[scope["path"]] += 1
    await starlette(scope, receive, send)
