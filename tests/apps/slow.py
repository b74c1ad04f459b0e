"""The streams of ``streams.py`` behind middleware that lets a request wait for a second."""

import asyncio

from streams import app as inner


async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/stream":
        print("on its way", flush=True)
        await asyncio.sleep(1)
    await inner(scope, receive, send)
