"""A client's connection, taken over from its server, on the hub's own loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .connection import ConnectionSink
from .sink import CLOSE_SECONDS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ...wire.framing import Framing

__all__ = ["SocketSink"]


class SocketSink(ConnectionSink):
    """
    A connection on the hub's own loop. See :class:`.Sink`.

    Args:
        head: Bytes to send first: the head of the HTTP response.
        framing: How blocks have to be delimited on the connection.
        on_open: Called with this sink when it can be attached.
        on_closed: Called with this sink, once, when the connection has been closed.
        close_seconds: See :class:`.ConnectionSink`.
    """

    __slots__ = ("_head", "_on_closed", "_on_open")

    def __init__(
        self,
        head: bytes,
        framing: Framing,
        *,
        on_open: Callable[[SocketSink], None],
        on_closed: Callable[[SocketSink], None],
        close_seconds: float = CLOSE_SECONDS,
    ) -> None:
        super().__init__(framing=framing, close_seconds=close_seconds)
        self._head = head
        self._on_open: Callable[[SocketSink], None] | None = on_open
        self._on_closed = on_closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the head, so that the client knows at once that it is connected."""
        self.take(transport)
        # Not kept: what it refers to is a tenth of the memory of a stream.
        on_open, self._on_open = self._on_open, None
        assert on_open is not None  # noqa: S101 - a connection is made once
        on_open(self)
        self._send_head()

    def write(self, data: bytes) -> None:
        """Send the client some bytes: the first ones together with the head."""
        if self._head:
            data, self._head = self._head + data, b""
        self._transport.write(data)

    def close(self) -> None:
        """End the stream. See :class:`.ConnectionSink`."""
        self._send_head()
        super().close()

    def _send_head(self) -> None:
        if self._head:
            self.write(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss."""
        self._on_closed(self)
        super().connection_lost(exc)
