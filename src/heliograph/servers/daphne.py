"""
Waiting for a client of daphne to take what it was sent.

daphne's ``send`` returns at once and Twisted holds whatever the client does not read, so a
stream would grow without end in the server's memory. Twisted tells a *producer* when it
has enough (``IPushProducer``). daphne's request accepts a producer, but has to be found: it
is the one that fills the queue behind ``receive``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import TYPE_CHECKING, Any

from ..hub.sinks import tune_descriptor
from .log_once import log_unknown
from .transport import send_first

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ..config import HubConfig
    from ..hub.connections import Connections
    from .asgi_types import Message, Receive, Send
    from .interface import IsStopping

__all__ = ["DaphneConnection", "connection_of"]


class DaphneConnection:
    """
    A connection of Twisted's, which tells the producer of a response about its client.

    Args:
        request: Of daphne.
        send: As the application got it.
        is_stopping: What tells whether the process was told to stop.
    """

    def __init__(self, request: Any, send: Send, is_stopping: IsStopping | None) -> None:
        self._request = request
        self._send = send
        self._is_stopping = is_stopping
        self._may_write = asyncio.Event()
        self._may_write.set()
        request.registerProducer(self, True)  # noqa: FBT003 - Twisted's order: it pushes

    @property
    def is_stopping(self) -> IsStopping | None:
        """What tells whether the process was told to stop."""
        return self._is_stopping

    def told_of_stop(self, on_stop: Callable[[], None]) -> AbstractContextManager[None]:
        """Do nothing: daphne does not tell."""
        del on_stop
        return contextlib.nullcontext()

    def tune(self, config: HubConfig) -> None:
        """See :class:`~heliograph.servers.interface.AsgiConnection`."""
        connection = self._socket()
        # A closed socket has no number.
        if connection is not None and connection.fileno() >= 0:
            tune_descriptor(connection.fileno(), config)

    async def drained(self) -> None:
        """Wait until Twisted asks for more, or the client has left."""
        await self._may_write.wait()

    def has_lost_client(self) -> bool:
        """Return False: ``receive`` says it."""
        return False

    def release(self) -> None:
        """Stop being the producer, or Twisted would not end the response."""
        if self._channel is not None:
            self._request.unregisterProducer()

    async def abort(self) -> None:
        """Abort the connection: daphne leaves one open whose response has no end."""
        channel = self._channel
        # In HTTP/2 it is a stream, which has no transport of its own.
        if hasattr(channel, "abortConnection"):
            channel.abortConnection()
        elif channel is not None:
            channel.transport.abortConnection()

    async def take_over(
        self, connections: Connections, head: Message, first: bytes
    ) -> None:
        """Begin the response, and leave the connection to the server."""
        del connections
        try:
            await self._send(head)
            await send_first(self._send, first)
        except BaseException:
            # What a middleware raises ends the response.
            self.release()
            raise

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Note that the client has not taken what it was sent. Twisted calls this."""
        self._may_write.clear()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Note that the client has taken it. Twisted calls this."""
        self._may_write.set()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Note that the client has left. Twisted calls this."""
        self._may_write.set()

    @property
    def _channel(self) -> Any:
        # None when the client has left, and missing when daphne has ended the response.
        return getattr(self._request, "channel", None)

    def _socket(self) -> socket.socket | None:
        # In HTTP/2 several streams share the connection; a TLS transport wraps another one.
        owner = getattr(self._channel, "_conn", self._channel)
        transport: Any = getattr(owner, "transport", None)
        transport = getattr(transport, "transport", transport)
        handle = transport.getHandle() if hasattr(transport, "getHandle") else None
        return handle if isinstance(handle, socket.socket) else None


def connection_of(
    receive: Receive, send: Send, is_stopping: IsStopping | None
) -> DaphneConnection | None:
    """
    Return the connection of a request to daphne.

    Args:
        receive: As the application got it, from any server.
        send: As the application got it.
        is_stopping: What tells whether the process was told to stop.

    Returns:
        :obj:`None` if the server is not daphne, or one that looks different, or if a
        middleware has replaced ``receive``.
    """
    queue = getattr(receive, "__self__", None)
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if "daphne.server" not in sys.modules or not isinstance(queue, asyncio.Queue):
        return None
    try:
        for reader in reactor.getReaders():
            request = _request_of(reader, queue)
            if request is not None:
                # It has no channel when its client has left.
                if request.channel is None:
                    return None
                return DaphneConnection(request, send, is_stopping)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        # Another daphne, or another Twisted, or the request has another producer.
        reason = str(error)
    else:
        reason = "the request is not where it was"
    log_unknown("daphne", "it holds whatever a client does not read", reason)
    return None


def _request_of(reader: Any, queue: asyncio.Queue[Any]) -> Any:
    """Find a request by its queue among those of a port that daphne listens on."""
    factory = getattr(reader, "factory", None)
    # With TLS there is another factory around it.
    server = getattr(getattr(factory, "wrappedFactory", factory), "server", None)
    for request in getattr(server, "connections", ()):
        if getattr(request, "application_queue", None) is queue:
            return request
    return None
