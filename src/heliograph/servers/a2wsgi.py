"""
A client's connection, as far as a2wsgi lets it be seen.

a2wsgi runs a WSGI application in threads of an ASGI server. It throws away what is written
for a client that has left, so a generator would serve it for ever; but the request's body
is read through the server's ``receive``, which says so after the body, and may be a
method of something that has the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from .asgi import Flow
from .uvicorn import has_lost_client

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import HubConfig

__all__ = ["Connection", "connection_of"]

# How often uvicorn is asked what it does not tell.
_LOOK_SECONDS = 1.0


def connection_of(environ: dict[str, Any]) -> Connection | None:
    """
    Give the connection of a request's client.

    Args:
        environ: The request, as a2wsgi made it.

    Returns:
        :obj:`None` if this is not a2wsgi, or one that looks different.
    """
    body = environ.get("wsgi.input")
    if not type(body).__module__.startswith("a2wsgi"):
        return None
    receive, loop = getattr(body, "receive", None), getattr(body, "loop", None)
    if not callable(receive) or not isinstance(loop, asyncio.AbstractEventLoop):
        return None
    return Connection(receive, loop)


class Connection:
    """
    That of a client, used from a thread. All is done on the loop that has it.

    Args:
        receive: As the server gave it.
        loop: The server's.
    """

    def __init__(self, receive: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._receive = receive
        self._loop = loop
        self._flow = Flow(receive)

    def tune(self, config: HubConfig) -> None:
        """
        Make it prompt, bounded, and aware of a peer that has died, if it is to be seen.

        Args:
            config: See :func:`~heliograph.hub.sinks.tune_socket`.
        """
        self._later(self._flow.tune, config)

    def abort(self) -> None:
        """End it, if it is to be seen."""
        self._later(self._flow.abort_later)

    def watch(self, on_left: Callable[[], None]) -> None:
        """
        Have something called, once, when the client has left.

        Args:
            on_left: Is called in the thread of the loop.
        """
        asyncio.run_coroutine_threadsafe(self._wait(on_left), self._loop)

    async def _wait(self, on_left: Callable[[], None]) -> None:
        asking = None
        try:
            # Another request behind this one may be told instead.
            while not has_lost_client(self._receive):
                asking = asking or asyncio.create_task(self._receive())
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

    def _later(self, function: Callable[..., None], *arguments: object) -> None:
        # The loop is closed when the server has ended.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)
