"""Starlette applications with CORS, and their clients."""

import httpx
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse

from heliograph.cors import CorsPolicy

A = "https://a.example"
TENANT = "https://tenant.example"
EVIL = "https://evil.example"
ORIGIN = "access-control-allow-origin"
PREFLIGHT = {"Access-Control-Request-Method": "GET"}


class Asked:
    """An origin that a function allows, and how often it was asked."""

    def __init__(self, origin=TENANT):
        self.origin = origin
        self.times = 0

    async def __call__(self, origin, request):
        self.times += 1
        return origin == self.origin

    def policy(self):
        return CorsPolicy(origins=[A, self])


async def hello(request):
    return PlainTextResponse("hello")


async def crash(request):
    raise LookupError("crash")


async def echo(websocket):
    await websocket.accept()
    await websocket.close()


class Closed(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return PlainTextResponse("log in", status_code=401)


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


def client(app):
    """Return a client that sends no lifespan, like a TestClient outside of ``with``."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")
