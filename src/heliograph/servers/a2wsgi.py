"""
A client's connection, as far as a2wsgi lets it be seen.

a2wsgi runs a WSGI application in threads of an ASGI server. It throws away what is written
for a client that has left, so a generator would serve it for ever; but the request's body
is read through the server's ``receive``, which says so after the body, and may be a
method of something that has the connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .asgi import Flow
from .uvicorn import has_lost_client

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["descriptor", "watch"]

# How often uvicorn is asked what it does not tell.
_LOOK_SECONDS = 1.0


def descriptor(environ: dict[str, Any]) -> int | None:
    """
    Give the descriptor of a client's connection, only to look at.

    Args:
        environ: The request, as a2wsgi made it.

    Returns:
        :obj:`None` if this is not a2wsgi, or its server does not show the connection.
    """
    body = environ.get("wsgi.input")
    if not type(body).__module__.startswith("a2wsgi"):
        return None
    return Flow(getattr(body, "receive", None)).descriptor()


def watch(environ: dict[str, Any]) -> Callable[[Callable[[], None]], None] | None:
    """
    Give a way to be told when the client has left.

    Args:
        environ: The request, as a2wsgi made it.

    Returns:
        Takes what is called then, once, in the thread of the server's loop. :obj:`None`
        if this is not a2wsgi, or one that looks different.
    """
    body = environ.get("wsgi.input")
    if not type(body).__module__.startswith("a2wsgi"):
        return None
    receive, loop = getattr(body, "receive", None), getattr(body, "loop", None)
    if not callable(receive) or not isinstance(loop, asyncio.AbstractEventLoop):
        return None

    async def wait(on_left: Callable[[], None]) -> None:
        asking = None
        try:
            # Another request behind this one may be told instead.
            while not has_lost_client(receive):
                asking = asking or asyncio.create_task(receive())
                await asyncio.wait({asking}, timeout=_LOOK_SECONDS)
                if asking.done():
                    # Messages before it are the body's, read by the application or not.
                    if asking.result()["type"] == "http.disconnect":
                        return
                    asking = None
        finally:
            if asking is not None:
                asking.cancel()
            # Also if nobody can be asked any more.
            on_left()

    def begin(on_left: Callable[[], None]) -> None:
        asyncio.run_coroutine_threadsafe(wait(on_left), loop)

    return begin
