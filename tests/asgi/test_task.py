"""Serving from the task of a request: what ends it, and in which order."""

import asyncio
import errno

import pytest

from heliograph.asgi import EventStreams
from streams import until


@pytest.mark.parametrize("turns", range(5))
async def test_a_client_that_is_given_up_and_leaves(turns):
    """Both at once, in whatever order: neither fails, and the others have their events."""
    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": []}
    left = asyncio.Event()

    async def receive():
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if b"data: x" in message.get("body", b""):
            await asyncio.Event().wait()  # the client does not read

    async with EventStreams("memory:") as streams:
        stream = asyncio.create_task(streams(scope, receive, send))
        await until(lambda: streams._hub.hub is not None and len(streams._hub.hub._clients))
        (subscriber,) = streams._hub.hub._clients._admission
        await until(lambda: subscriber.cursor is not None)
        async with streams.subscribe() as others:
            await streams.publish("x")
            await asyncio.sleep(0.01)
            left.set()
            for _ in range(turns):
                await asyncio.sleep(0)
            subscriber.sink.abort()
            await asyncio.sleep(0)
            subscriber.sink.abort()
            await stream
            await streams.publish("y")
            assert [(await anext(others)).data for _ in range(2)] == ["x", "y"]


async def test_a_client_that_the_kernel_gives_up():
    """Whatever error a server makes of it, the client has left, and that is all."""

    async def send(message):
        if b"retry" in message.get("body", b""):
            raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    async with EventStreams("memory:") as streams:
        scope = {"type": "http", "method": "GET", "query_string": b"", "headers": []}
        await streams(scope, asyncio.Event().wait, send)
        assert (await streams.statistics()).subscribers == 0
