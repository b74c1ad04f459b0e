"""When a request arrived, whatever middleware looked at it first."""

import time

import pytest
from fastapi import FastAPI, Request
from starlette.routing import Mount, Route

from heliograph.asgi import EventStreams
from heliograph.asgi.around import Layer
from heliograph.asgi.arrivals import note_arrival
from heliograph.cors import CorsPolicy
from streams import until
from uvicorns import request, serving


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
            await until(lambda: streams._hub.hub._control._disconnects.latest > before)

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
            layer = layer.app

        assert sorted(layers) == ["_Arrivals", "_Outermost"]
        await open_streams.close()
        await with_cors.close()
