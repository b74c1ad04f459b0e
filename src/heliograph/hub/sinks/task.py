"""Bytes for a task on the hub's own loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ...wire.framing import Framing
from .sink import CLOSE_SECONDS, PAUSE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .sink import SinkClient

__all__ = ["TaskSink"]


class TaskSink:
    """
    Bytes for a task on the hub's loop. See :class:`.Sink`.

    Args:
        on_aborted: Called when the stream has to end at once, whatever the task waits for.
        close_seconds: How long the client has to take its last bytes when it is closed.

    Attributes:
        closed: Whether the stream is ended after what has been written.
    """

    def __init__(
        self, *, on_aborted: Callable[[], None], close_seconds: float = CLOSE_SECONDS
    ) -> None:
        self._close_seconds = close_seconds
        self.framing = Framing.IDENTITY
        self.paused = self.closed = False
        self._client: SinkClient | None = None
        self._on_aborted = on_aborted
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._waiting: asyncio.Future[None] | None = None

    def attach(self, client: SinkClient) -> None:
        """Report from now on what happens to the client."""
        self._client = client

    @property
    def unsent_bytes(self) -> int:
        """How many bytes the task has yet to take."""
        return self._size

    def write(self, data: bytes) -> None:
        """Keep some bytes for the task."""
        if self._ended:
            return
        self._chunks.append(data)
        self._size += len(data)
        self.paused = self._size > PAUSE_BYTES
        self._wake()

    def close(self) -> None:
        """End the stream after what has been written, if the client still takes it."""
        if self._ended:
            return
        self._ended = self.closed = True
        self._wake()
        asyncio.get_running_loop().call_later(self._close_seconds, self._on_aborted)

    def abort(self) -> None:
        """End the stream at once."""
        self._ended = True
        self._chunks.clear()
        self._size = 0
        self._wake()
        self._on_aborted()

    async def pull(self) -> bytes | None:
        """
        Wait for bytes. Cancelling loses none.

        Returns:
            Whole blocks; :obj:`None` when the stream has ended.
        """
        while not self._chunks:
            if self._ended:
                return None
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self.paused:
            self.paused = False
            if self._client is not None:
                self._client.on_resumed()
        return data

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
