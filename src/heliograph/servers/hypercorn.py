"""
Waiting for a client of hypercorn to take what it was sent.

In HTTP/2 hypercorn's ``send`` returns at once although its queue is full, so a stream that
is not read would grow without end in the server's memory. The queue itself knows when it
is empty. Middleware replaces ``send`` and ``receive``, so hypercorn's objects are found
from the task that it has made for the request.
"""

from __future__ import annotations

from typing import Any

from .asgi import Flow, outermost_of_task, tell_unknown

__all__ = ["flow_of"]


class _HypercornFlow(Flow):
    """
    What hypercorn knows of a client.

    Args:
        response: Of hypercorn, in HTTP/1 or 2.
    """

    def __init__(self, response: Any) -> None:
        self._protocol = response.send.__self__
        self._transport = self._protocol.send.__self__.writer.transport
        self._send = response.app_send
        self._is_stopping = response.context.terminated.is_set
        # In HTTP/2 a connection is of several responses, each with a queue.
        self._is_shared = response.scope["http_version"] == "2"
        self._queue = None
        if self._is_shared:
            # Not there when the client has left.
            self._queue = self._protocol.stream_buffers.get(response.stream_id)
        if self._queue is not None:
            self._drain, self._empty = self._queue.drain, self._queue.close

    async def drained(self) -> None:
        if self._queue is not None:
            await self._drain()

    async def abort(self) -> None:
        if not self._is_shared:
            self._transport.abort()
        elif self._queue is not None:
            await self._empty()
            await self._send({"type": "http.response.body", "more_body": False})
            if self._is_stopping() and not self._protocol.streams:
                self._transport.abort()


def flow_of() -> Flow | None:
    """
    Give the flow of a response of hypercorn, in the task of its request.

    Returns:
        :obj:`None` if this is not hypercorn, or one that looks different, or if a
        middleware has begun a task of its own; and in HTTP/3.
    """
    module, variables = outermost_of_task()
    if module != "hypercorn.asyncio.task_group":
        return None
    try:
        response = variables["send"].__self__
        if response.scope["http_version"] == "3":
            return None
        return _HypercornFlow(response)
    except (AttributeError, KeyError, TypeError) as error:
        tell_unknown(
            "hypercorn", "it holds what a client of HTTP/2 does not read", str(error)
        )
        return None
