"""
Waiting for a client of hypercorn to take what it was sent, and for the end of hypercorn.

In HTTP/2 hypercorn's ``send`` returns at once although its queue is full, so a stream that
is not read would grow without end in the server's memory. The queue itself knows when it
is empty. And hypercorn waits for its responses when it stops, but does not tell them.

Middleware replaces ``send``, so its objects are found from the task that it has made for
the request.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from .asgi import Flow, tell_unknown

__all__ = ["flow_of"]

_TASKS = "hypercorn.asyncio.task_group"


class _HypercornFlow(Flow):
    """
    What hypercorn knows of a client.

    Args:
        response: Of hypercorn.
    """

    def __init__(self, response: Any) -> None:
        self._response = response
        protocol = response.send.__self__
        self._transport = protocol.send.__self__.writer.transport
        # In HTTP/2 a connection is of several responses, each with a queue.
        queues = getattr(protocol, "stream_buffers", None)
        self._queue = queues and queues[response.stream_id]
        self.stopping = response.context.terminated.is_set

    async def drained(self) -> None:
        if self._queue is not None:
            await self._queue.drain()

    async def abort(self) -> None:
        if self._queue is None or self._response.context.terminated.is_set():
            self._transport.abort()
            return
        await self._queue.close()
        await self._response.app_send({"type": "http.response.body", "more_body": False})


def flow_of(receive: Any) -> Flow | None:
    """
    Give the flow of a response of hypercorn, in the task of its request.

    Args:
        receive: As the application was given it, of any server.

    Returns:
        :obj:`None` if this is not hypercorn, or one that looks different, or if a
        middleware has begun a task of its own.
    """
    queue = getattr(receive, "__self__", None)
    if _TASKS not in sys.modules or not isinstance(queue, asyncio.Queue):
        return None
    try:
        return _HypercornFlow(_response())
    except (AttributeError, KeyError, TypeError) as error:
        reason = str(error)
    tell_unknown(
        "hypercorn",
        "it holds what a client of HTTP/2 does not read, and stops late",
        reason,
    )
    return None


def _response() -> Any:
    frame = asyncio.current_task().get_coro().cr_frame  # type: ignore[union-attr]  # a task's
    if frame.f_globals["__name__"] != _TASKS:
        raise TypeError("its tasks are not where they were")
    return frame.f_locals["send"].__self__
