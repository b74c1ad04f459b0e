"""A client's connection, by the transport that its server has made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from ...wire.framing import Framing
from .descriptors import end_for_all, identity_of
from .sink import CLOSE_SECONDS, PAUSE_BYTES, timer_within

if TYPE_CHECKING:
    from .sink import SinkClient

__all__ = ["ConnectionSink"]


class ConnectionSink(asyncio.Protocol):
    """
    A client's connection, with this as its asyncio protocol. See :class:`.Sink`.

    For TLS, whose bytes the transport makes: others are a :class:`.DescriptorSink`.

    Args:
        framing: How blocks have to be delimited on the connection.
        close_seconds: How long the client has to take its last bytes when it is closed.
    """

    __slots__ = (
        "_aborting",
        "_client",
        "_close_seconds",
        "_identity",
        "_is_lost",
        "_number",
        "_transport",
        "framing",
        "paused",
    )

    _transport: asyncio.Transport

    def __init__(
        self, *, framing: Framing = Framing.IDENTITY, close_seconds: float = CLOSE_SECONDS
    ) -> None:
        self.framing = framing
        self._close_seconds = close_seconds
        self.paused = False
        self._client: SinkClient | None = None
        self._is_lost = False
        self._aborting: asyncio.TimerHandle | None = None

    def take(self, transport: asyncio.BaseTransport) -> None:
        """
        Write to a transport from now on.

        Args:
            transport: Of the client's connection.
        """
        # A cast: uvloop's transports are not of asyncio's class.
        self._transport = cast("asyncio.Transport", transport)
        connection = transport.get_extra_info("socket")
        self._number: int = -1 if connection is None else connection.fileno()
        self._identity = identity_of(self._number)
        self._transport.set_write_buffer_limits(high=PAUSE_BYTES)

    def attach(self, client: SinkClient) -> None:
        """Report from now on what happens to the client."""
        self._client = client
        if self._is_lost:
            client.on_lost()

    @property
    def unsent_bytes(self) -> int:
        """How many bytes were written that the kernel has not taken."""
        return 0 if self._is_lost else self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Send the client some bytes."""
        self._transport.write(data)

    def close(self) -> None:
        """End the stream after what has been written, if the client still takes it."""
        self._transport.close()
        self._abort_in(self._close_seconds)

    def abort(self) -> None:
        """End the stream at once."""
        # The hub may be closed while the loop still takes the connection.
        transport = getattr(self, "_transport", None)
        if transport is not None and not self._is_lost:
            self._end_for_all()
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Ignore the data. The connection is read because only that shows a FIN."""

    def eof_received(self) -> None:
        """
        Abort the connection of a client that has closed its half.

        Closing the transport would let it flush first.
        """
        self._transport.abort()

    def pause_writing(self) -> None:
        """Remember that the client is slower than what it is given."""
        self.paused = True

    def resume_writing(self) -> None:
        """Have the subscriber write what the client missed."""
        self.paused = False
        if self._client is not None:
            # In the next turn: asyncio reports a loss twice if a write fails in this call.
            asyncio.get_running_loop().call_soon(self._client.on_resumed)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """Report the loss, whatever the reason."""
        self._is_lost = True
        self._end_for_all()
        if self._aborting is not None:
            self._aborting.cancel()
        if self._client is not None:
            self._client.on_lost()

    def _end_for_all(self) -> None:
        # The transport only closes its descriptor, and a forked child may have a copy: the
        # client would wait for as long as the child lives. With TLS the number may be
        # another connection's by now.
        if self._identity is None or identity_of(self._number) != self._identity:
            return
        end_for_all(self._number)

    def _abort_in(self, seconds: float) -> None:
        # A transport of asyncio raises if it is aborted after its connection was lost.
        if self._is_lost:
            return
        self._aborting = timer_within(seconds, self.abort, self._aborting)
