"""A client's connection, taken over from its server, on the hub's own loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .connection import ConnectionSink

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["SocketSink"]


class SocketSink(ConnectionSink):
    """
    A connection on the hub's own loop.

    Args:
        head: Bytes to send first: the HTTP head.
        on_open: Called when the sink can be attached.
        on_resumed: See :class:`ConnectionSink`.
        on_lost: The same.
    """

    __slots__ = ("_head", "_on_open")

    def __init__(
        self,
        head: bytes,
        *,
        on_open: Callable[[], None],
        on_resumed: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        super().__init__(on_resumed=on_resumed, on_lost=on_lost)
        self._head = head
        self._on_open = on_open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the head, so that the client knows at once that it is connected."""
        self.take(transport)
        self._transport.write(self._head)
        self._on_open()
