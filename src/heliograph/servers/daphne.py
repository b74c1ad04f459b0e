"""
Waiting for a client of daphne to take what it was sent.

daphne's ``send`` returns at once and Twisted holds whatever the client does not read, so a
stream would grow without end in the server's memory. Twisted tells a *producer* when it
has enough (``IPushProducer``); daphne's request takes one, but has to be found: it is the
one that fills the queue behind ``receive``.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

from .asgi import Flow, tell_unknown

__all__ = ["flow_of"]


class _DaphneFlow(Flow):
    """
    What Twisted says of a client, as the producer of its response.

    Args:
        request: Of daphne.
    """

    def __init__(self, request: Any) -> None:
        self._request = request
        self._may_write = asyncio.Event()
        self._may_write.set()
        request.registerProducer(self, True)  # noqa: FBT003 - Twisted's order: it pushes

    async def drained(self) -> None:
        await self._may_write.wait()

    def release(self) -> None:
        if self._channel is not None:
            self._request.unregisterProducer()

    async def abort(self) -> None:
        # daphne leaves one open whose response has no end.
        channel = self._channel
        # In HTTP/2 it is a stream, which has no transport of its own.
        if hasattr(channel, "abortConnection"):
            channel.abortConnection()
        elif channel is not None:
            channel.transport.abortConnection()

    def _connection(self) -> Any:
        # In HTTP/2 the connection is of several streams; that of TLS has one within it.
        owner = getattr(self._channel, "_conn", self._channel)
        transport: Any = getattr(owner, "transport", None)
        transport = getattr(transport, "transport", transport)
        handle = transport.getHandle() if hasattr(transport, "getHandle") else None
        return handle if isinstance(handle, socket.socket) else None

    @property
    def _channel(self) -> Any:
        # None when the client has left, and missing when daphne has ended the response.
        return getattr(self._request, "channel", None)

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Note that the client has not taken what it was sent. Twisted calls this."""
        self._may_write.clear()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Note that it has. Twisted calls this."""
        self._may_write.set()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Note that it has left. Twisted calls this."""
        self._may_write.set()


def flow_of(receive: Any) -> Flow | None:
    """
    Give the flow of a response of daphne.

    Args:
        receive: As the application was given it, of any server.

    Returns:
        :obj:`None` if this is not daphne, or one that looks different, or if a middleware
        has replaced ``receive``.
    """
    queue = getattr(receive, "__self__", None)
    reactor = sys.modules.get("twisted.internet.reactor")
    if "daphne.server" not in sys.modules or not isinstance(queue, asyncio.Queue):
        return None
    try:
        for reader in reactor.getReaders():  # type: ignore[union-attr]  # it is there
            request = _request_of(reader, queue)
            if request is not None:
                # It has no channel when its client has left.
                return None if request.channel is None else _DaphneFlow(request)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        # Another daphne, or another Twisted, or somebody else is its producer.
        reason = str(error)
    else:
        reason = "the request is not where it was"
    tell_unknown("daphne", "it holds whatever a client does not read", reason)
    return None


def _request_of(reader: Any, queue: asyncio.Queue[Any]) -> Any:
    """Find a request by its queue among those of a port that daphne listens on."""
    factory = getattr(reader, "factory", None)
    # With TLS there is another around it.
    server = getattr(getattr(factory, "wrappedFactory", factory), "server", None)
    for request in getattr(server, "connections", ()):
        if getattr(request, "application_queue", None) is queue:
            return request
    return None
