"""Streams within middleware that replaces ``receive`` and runs them in a task of its own."""

from starlette.middleware.base import BaseHTTPMiddleware

from streams import app


async def passing(request, call_next):
    return await call_next(request)


app.add_middleware(BaseHTTPMiddleware, dispatch=passing)
