"""The streams of ``streams.py`` behind middleware that waits after each part of a body."""

import asyncio

from streams import app as inner


async def app(scope, receive, send):
    async def pausing(message):
        await send(message)
        if message["type"] == "http.response.body":
            await asyncio.sleep(0.2)

    is_stream = scope["type"] == "http" and scope["path"] == "/stream"
    await inner(scope, receive, pausing if is_stream else send)
