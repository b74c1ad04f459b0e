"""Applications of ours as endpoints, for tools that were written for functions."""

import functools

import pytest
from fastapi import FastAPI
from slowapi import Limiter
from slowapi.middleware import SlowAPIMiddleware
from slowapi.util import get_remote_address
from starlette.routing import Route

from heliograph.asgi import CORSMiddleware, EventStreams
from heliograph.cors import CorsPolicy
from uvicorns import request, serving


def endpoints():
    streams = EventStreams("memory:")
    return [
        streams,
        CORSMiddleware(streams, CorsPolicy(origins=["https://page.example"])),
    ]


async def test_slowapi():
    """It asks for the name of the endpoint with each request."""
    streams, with_cors = endpoints()
    app = FastAPI(routes=[Route("/stream", streams), Route("/cors", with_cors)])
    app.state.limiter = Limiter(get_remote_address, default_limits=["2/minute"])
    app.add_middleware(SlowAPIMiddleware)

    async with serving(app, http="h11") as port:
        for path in ["stream", "cors"]:
            await (await request(port, path)).placed()
        await streams.close()


@pytest.mark.parametrize("endpoint", endpoints(), ids=["streams", "cors"])
def test_what_decorators_copy(endpoint):
    """All that a function has; Starlette names the route as it did without."""

    @functools.wraps(endpoint)
    def wrapper():
        """Not its own."""

    name = type(endpoint).__name__
    assert (wrapper.__name__, wrapper.__qualname__) == (name, name)
    assert wrapper.__module__ == type(endpoint).__module__
    assert wrapper.__doc__ == type(endpoint).__doc__
    assert Route("/stream", endpoint).name == name
