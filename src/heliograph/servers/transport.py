"""What ASGI servers have in common: a transport of asyncio, and a task per request."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from ..hub.sinks import tune_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from ..config import HubConfig
    from ..hub.connections import Connections
    from ..hub.sinks import ConnectionSink, DescriptorSink
    from .asgi_types import Message, Receive, Send
    from .interface import IsStopping

__all__ = [
    "TransportConnection",
    "outermost_of_task",
    "send_first",
    "transport_of",
    "tune_transport",
]


class TransportConnection:
    """
    A connection of which no more is known than its transport, if that.

    ``send`` waits until the client has taken most of what was written before.

    Args:
        receive: As the application got it.
        send: As the application got it.
        is_stopping: What tells whether the server was told to stop, if that is known.
    """

    def __init__(
        self, receive: Receive, send: Send, is_stopping: IsStopping | None = None
    ) -> None:
        self._transport = transport_of(receive)
        self._send = send
        self._is_stopping = is_stopping

    @property
    def is_stopping(self) -> IsStopping | None:
        """What tells whether the server was told to stop, if that is known."""
        return self._is_stopping

    def told_of_stop(self, on_stop: Callable[[], None]) -> AbstractContextManager[None]:
        """Do nothing: the server does not tell."""
        del on_stop
        return contextlib.nullcontext()

    def tune(self, config: HubConfig) -> None:
        """See :class:`~heliograph.servers.interface.AsgiConnection`."""
        tune_transport(self._transport, config)

    async def drained(self) -> None:
        """Return at once: ``send`` has waited."""

    def has_lost_client(self) -> bool:
        """Return False: ``receive`` says it."""
        return False

    def release(self) -> None:
        """Do nothing: the server has nothing of ours."""

    async def abort(self) -> None:
        """Abort the transport, if it is known."""
        if self._transport is not None:
            self._transport.abort()

    async def take_over(
        self, connections: Connections, head: Message, first: bytes
    ) -> ConnectionSink | DescriptorSink | None:
        """Begin the response, and leave the connection to the server."""
        del connections
        await self._send(head)
        await send_first(self._send, first)
        return None


async def send_first(send: Send, first: bytes) -> None:
    """
    Send the first bytes of a stream whose connection may be taken over.

    Args:
        send: As the application got it.
        first: The bytes.
    """
    await send({"type": "http.response.body", "body": first, "more_body": True})


def transport_of(receive: Receive) -> Any:
    """
    Return the transport of a connection, if ``receive`` leads to it.

    With uvicorn and gunicorn it is a method of an object that has the transport. Not in
    HTTP/2: there a connection carries several responses and must not be ended for one.

    Args:
        receive: As the application got it, from any server.
    """
    owner = getattr(receive, "__self__", None)
    for holder in (owner, getattr(owner, "protocol", None)):
        transport = getattr(holder, "transport", None)
        if hasattr(transport, "get_extra_info") and hasattr(transport, "abort"):
            return transport
    return None


def tune_transport(transport: Any, config: HubConfig) -> None:
    """
    Make a connection prompt, bounded, and aware of a peer that has died.

    Args:
        transport: Of asyncio or uvloop, or :obj:`None`.
        config: See :func:`~heliograph.hub.sinks.tune_socket`.
    """
    connection = None if transport is None else transport.get_extra_info("socket")
    # uvloop's socket object has no options. A closed one has no number.
    if connection is not None and connection.fileno() >= 0:
        tune_descriptor(connection.fileno(), config)


def outermost_of_task() -> tuple[str | None, Mapping[str, Any]]:
    """
    Return the module and the variables of the coroutine that the current task runs.

    In the task of a request that is the server's. Middleware can replace ``receive`` and
    ``send``, but not this.

    Returns:
        :obj:`None` and nothing if there is no task.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None, {}
    coroutine = None if task is None else task.get_coro()
    frame = getattr(coroutine, "cr_frame", None)
    if frame is None:
        return None, {}
    return frame.f_globals.get("__name__"), frame.f_locals
