"""The views of the documentation that return streams, under a real server."""

import re
import sys
import types
from pathlib import Path

import pytest

from uvicorns import request, serving, until_left

PAGE = Path(__file__).parents[2] / "docs" / "streams-from-views.md"


@pytest.fixture
def examples(monkeypatch):
    """What the page defines for ASGI, without what tries it."""
    page = PAGE.read_text().partition("## FastAPI and Starlette")[2]
    module = types.ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)
    namespace = vars(module)
    for code in re.findall("^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        if "asyncio.run" not in code and "test_client" not in code:
            exec(code, namespace)
    return namespace


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize(
    ("app", "path", "headers"),
    [
        ("api", "events", ["X-User: ann"]),
        ("litestar", "events/ann", []),
        ("quart", "events/ann", []),
        ("quart", "events/ann", ["Content-Length: 3"]),
    ],
)
async def test_a_stream(examples, http, app, path, headers):
    """Its connection is taken over, its headers are those of the view."""
    streams = examples["streams"]
    async with streams, serving(examples[app], http=http, lifespan="off") as port:
        method, body = ("POST", b"abc") if "Content-Length: 3" in headers else ("GET", b"")
        client = await request(port, path, *headers, method=method, body=body)
        await client.placed()
        assert client.raw.count(b"content-type: text/event-stream; charset=utf-8") == 1
        assert b"content-length" not in client.raw
        assert (b"x-name: ann" in client.raw) == (app != "api")
        await streams.publish("x", channel="user:ann")
        assert (await client.wait(1))[0].data == "x"
        client.leave()
        await until_left(streams, 0)


async def test_a_view_of_quart_that_fails(examples):
    """Its error is sent, not a stream."""
    quart = examples["quart"]

    @quart.get("/fails")
    async def fails():
        examples["quart_request"].scope["stream"] = None
        raise LookupError("of a view")

    async with examples["streams"], serving(quart, lifespan="off") as port:
        assert (await (await request(port, "fails")).ended()).status == 500
        assert (await request(port, "missing")).status == 404
