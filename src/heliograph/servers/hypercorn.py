"""
Waiting for a client of hypercorn to take what it was sent, and knowing when it stops.

In HTTP/2 hypercorn's ``send`` returns at once although its queue is full, so a stream that
nobody reads would grow without end in the server's memory. The queue itself knows when it
is empty. Middleware replaces ``send`` and ``receive``, so hypercorn's objects are found
from the task that it has made for the request.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from .log_once import log_unknown
from .transport import (
    TransportConnection,
    outermost_of_task,
    send_first,
    tune_transport,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ..config import HubConfig
    from ..hub.connections import Connections
    from .asgi_types import Message, Receive, Send
    from .interface import AsgiConnection, IsStopping

__all__ = ["connection_of"]


class _HypercornConnection:
    """
    A connection of hypercorn in HTTP/1 or 2.

    Args:
        response: Of hypercorn.
        send: As the application got it.
    """

    def __init__(self, response: Any, send: Send) -> None:
        self._application_send = send
        self._protocol = response.send.__self__
        self._transport = self._protocol.send.__self__.writer.transport
        self._send = response.app_send
        self._is_stopping: IsStopping = response.context.terminated.is_set
        # In HTTP/2 a connection carries several responses, each with a queue.
        self._is_shared = response.scope["http_version"] == "2"
        self._queue = None
        if self._is_shared:
            # Missing when the client has left.
            self._queue = self._protocol.stream_buffers.get(response.stream_id)
        if self._queue is not None:
            self._drain, self._empty = self._queue.drain, self._queue.close

    @property
    def is_stopping(self) -> IsStopping:
        return self._is_stopping

    def told_of_stop(self, on_stop: Callable[[], None]) -> AbstractContextManager[None]:
        # hypercorn is asked instead: it tells nobody.
        del on_stop
        return contextlib.nullcontext()

    def tune(self, config: HubConfig) -> None:
        tune_transport(self._transport, config)

    async def drained(self) -> None:
        if self._queue is not None:
            await self._drain()

    def has_lost_client(self) -> bool:
        return False  # `receive` says it

    def release(self) -> None:
        pass  # hypercorn has nothing of ours

    async def abort(self) -> None:
        if not self._is_shared:
            self._transport.abort()
        elif self._queue is not None:
            await self._empty()
            await self._send({"type": "http.response.body", "more_body": False})
            if self._is_stopping() and not self._protocol.streams:
                self._transport.abort()

    async def take_over(
        self, connections: Connections, head: Message, first: bytes
    ) -> None:
        del connections
        await self._application_send(head)
        await send_first(self._application_send, first)


def connection_of(receive: Receive, send: Send) -> AsgiConnection | None:
    """
    Return the connection of a request to hypercorn, in the task of the request.

    Args:
        receive: As the application got it, from any server.
        send: As the application got it.

    Returns:
        :obj:`None` if the server is not hypercorn, or if a middleware has started a task of
        its own. In HTTP/3, and with a hypercorn that looks different, only whether it is to
        stop is known of it.
    """
    module, variables = outermost_of_task()
    if module != "hypercorn.asyncio.task_group":
        return None
    try:
        response = variables["send"].__self__
        if response.scope["http_version"] != "3":
            return _HypercornConnection(response, send)
    except (AttributeError, KeyError, TypeError) as error:
        log_unknown(
            "hypercorn", "it holds what a client of HTTP/2 does not read", str(error)
        )
    return TransportConnection(receive, send, _stopping(variables.get("send")))


def _stopping(send: Any) -> IsStopping | None:
    context = getattr(getattr(send, "__self__", None), "context", None)
    is_set = getattr(getattr(context, "terminated", None), "is_set", None)
    return is_set if callable(is_set) else None
