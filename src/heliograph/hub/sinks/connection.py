"""What sinks have in common that own a client's connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from .sink import CLOSE_SECONDS, PAUSE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ConnectionSink"]


class ConnectionSink(asyncio.Protocol):
    """
    A client's connection, of which we are the protocol.

    Args:
        on_resumed: Called when a paused sink is ready again.
        on_lost: Called once, when the client has gone.
    """

    __slots__ = ("_aborting", "_is_lost", "_on_lost", "_on_resumed", "_transport", "paused")

    _transport: asyncio.Transport

    def __init__(
        self, *, on_resumed: Callable[[], None], on_lost: Callable[[], None]
    ) -> None:
        self.paused = False
        self._on_resumed = on_resumed
        self._on_lost = on_lost
        self._is_lost = False
        self._aborting: asyncio.TimerHandle | None = None

    def take(self, transport: asyncio.BaseTransport) -> None:
        """
        Write to this from now on.

        Args:
            transport: The client's.
        """
        # A cast: uvloop's transports are not of asyncio's class.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=PAUSE_BYTES)

    @property
    def unsent_bytes(self) -> int:
        """How many bytes were written that the kernel has not taken."""
        return 0 if self._is_lost else self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Give the client some bytes."""
        self._transport.write(data)

    def close(self) -> None:
        """End the stream after what has been written, if the client still takes it."""
        self._transport.close()
        self._abort_in(CLOSE_SECONDS)

    def abort(self) -> None:
        """End the stream at once."""
        # There is none yet if the hub is closed while the loop takes the connection.
        transport = getattr(self, "_transport", None)
        if transport is not None and not self._is_lost:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Drop it: a client has nothing more to say. Reading is what shows a FIN."""

    def eof_received(self) -> None:
        """
        Give the client up: who only half-closes is not worth waiting for.

        Closing would let the transport flush first.
        """
        self._transport.abort()

    def pause_writing(self) -> None:
        """Note that the client is slower than what it is given."""
        self.paused = True

    def resume_writing(self) -> None:
        """Give the client what it missed."""
        self.paused = False
        # Not at once: asyncio reports a loss twice if a write fails in this call.
        asyncio.get_running_loop().call_soon(self._on_resumed)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Tell the hub. Why a client has gone makes no difference."""
        self._is_lost = True
        if self._aborting is not None:
            self._aborting.cancel()
        self._on_lost()

    def _abort_in(self, seconds: float) -> None:
        # asyncio's transports cannot be aborted any more when they have been lost.
        if self._is_lost:
            return
        loop = asyncio.get_running_loop()
        if self._aborting is not None:
            if self._aborting.when() <= loop.time() + seconds:
                return
            self._aborting.cancel()
        self._aborting = loop.call_later(seconds, self._transport.abort)
