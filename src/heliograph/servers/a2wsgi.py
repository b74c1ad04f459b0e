"""
A client's connection, as far as a2wsgi lets it be seen.

a2wsgi runs a WSGI application in threads of an ASGI server. It throws away what is written
for a client that has left, so a generator would serve it for ever. But the request's body
is read through the server's ``receive``, which reports the disconnect after the body, and
may be a method of an object that has the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from .transport import transport_of, tune_transport
from .uvicorn import has_lost_client
from .wsgi_connection import SocketConnection

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIEnvironment

    from ..config import HubConfig
    from .asgi_types import Message, Receive
    from .interface import IsStopping

__all__ = ["ClientBehindA2wsgi", "connection_of"]

_log = logging.getLogger("heliograph.servers")

# How often uvicorn is asked for what it does not tell.
_LOOK_SECONDS = 1.0


def connection_of(
    environ: WSGIEnvironment, is_stopping: IsStopping | None
) -> SocketConnection | None:
    """
    Return the connection of a request to a2wsgi. It has an adapter and no descriptor.

    Args:
        environ: The request, as the server made it.
        is_stopping: What tells whether the process was told to stop.

    Returns:
        :obj:`None` if this is not a2wsgi, or one that looks different.
    """
    body: Any = environ.get("wsgi.input")
    if not type(body).__module__.startswith("a2wsgi"):
        return None
    receive, loop = getattr(body, "receive", None), getattr(body, "loop", None)
    if not callable(receive) or not isinstance(loop, asyncio.AbstractEventLoop):
        return None
    client = ClientBehindA2wsgi(receive, loop)
    return SocketConnection(environ, adapter=client, is_stopping=is_stopping)


class ClientBehindA2wsgi:
    """
    A client's connection, used from a thread. Everything is done on the server's loop.

    Args:
        receive: As the server gave it.
        loop: The server's.
    """

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        self._receive = receive
        self._loop = loop
        self._transport = transport_of(receive)

    def tune(self, config: HubConfig) -> None:
        """
        Make the connection prompt, bounded, and aware of a dead peer, if it can be seen.

        Args:
            config: See :func:`~heliograph.hub.sinks.tune_socket`.
        """
        self._later(tune_transport, self._transport, config)

    def abort(self) -> None:
        """End the connection, if it can be seen."""
        self._later(self._abort)

    def watch(self, on_left: Callable[[], None]) -> None:
        """
        Call a function, once, when the client has left.

        Args:
            on_left: Called in the thread of the loop.
        """
        asyncio.run_coroutine_threadsafe(self._wait(on_left), self._loop)

    def _abort(self) -> None:
        # The response may be over. A connection that was lost cannot be aborted any more.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()

    async def _wait(self, on_left: Callable[[], None]) -> None:
        asking: asyncio.Task[Message] | None = None
        try:
            # Another request behind this one may be told instead.
            while not has_lost_client(self._receive):
                asking = asking or asyncio.create_task(self._next_message())
                await asyncio.wait({asking}, timeout=_LOOK_SECONDS)
                if asking.done():
                    # Messages before it are the body's, read by the application or not.
                    if asking.result()["type"] == "http.disconnect":
                        return
                    asking = None
        except Exception:  # noqa: BLE001 - the boundary of a task
            _log.exception("cannot ask whether a client has left: its stream is ended")
        finally:
            if asking is not None:
                asking.cancel()
            # Also if nobody can be asked any more.
            on_left()

    async def _next_message(self) -> Message:
        return await self._receive()

    def _later(self, function: Callable[..., None], *arguments: object) -> None:
        # The loop is closed when the server has ended.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)
