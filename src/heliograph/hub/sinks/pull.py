"""
Bytes for a thread of the server, where its connection cannot be taken over.

The hub's loop never waits for that thread: a signal handler may interrupt it anywhere and
publish, and so wait for the loop. Each attribute is changed by one of the two only. The one
lock is held by the thread while it releases the stream, after which there is nobody to
wake, and the loop does not wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import time
from collections import deque
from typing import TYPE_CHECKING

from ... import native
from ...wire.framing import Framing
from .descriptors import CLIENT_LEFT, end_for_all, identity_of
from .sink import CLOSE_SECONDS, PAUSE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .sink import SinkClient

__all__ = ["PullSink"]

# The longest time-out that poll() accepts.
_MAX_POLL_MS = 2**31 - 1


class PullSink:
    """
    Bytes that a thread of the server takes. See :class:`.Sink`.

    Args:
        post: Has the hub's loop call something soon; called in the server's thread.
        descriptor: Of the client's connection, to notice that the client has left and to
            end the connection; :obj:`None` if the server hides it.
        on_aborted: Called, on the hub's loop, when the connection has to be ended.
        close_seconds: How long the client has to take its last bytes when it is closed.
    """

    def __init__(
        self,
        *,
        post: Callable[[Callable[[], None]], None],
        descriptor: int | None,
        on_aborted: Callable[[], None] | None = None,
        close_seconds: float = CLOSE_SECONDS,
    ) -> None:
        self._close_seconds = close_seconds
        self.framing = Framing.IDENTITY
        self.paused = False
        self._post = post
        self._on_aborted = on_aborted
        self._client: SinkClient | None = None
        self._descriptor = descriptor
        self._identity = None if descriptor is None else identity_of(descriptor)
        # Reentrant: the garbage collector may close a generator, and so call release(), at
        # any time.
        self._lock = native.RLock()
        self._process = os.getpid()
        self._chunks: deque[bytes] = deque()
        # The first is changed by the loop, the second by the server's thread.
        self._written_bytes = 0
        self._taken_bytes = 0
        self._ended = False
        self._is_dropped = False
        # A pipe and not a Condition: poll() can wait for it and the client at once.
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)

    def attach(self, client: SinkClient) -> None:
        """Report from now on what happens to the client."""
        self._client = client

    @property
    def unsent_bytes(self) -> int:
        """How many bytes the thread has yet to take."""
        return 0 if self._is_dropped else self._written_bytes - self._taken_bytes

    def write(self, data: bytes) -> None:
        """Keep some bytes for the thread."""
        if self._ended:
            return
        self._chunks.append(data)
        self._written_bytes += len(data)
        self.paused = self.unsent_bytes > PAUSE_BYTES
        self._wake()

    def close(self) -> None:
        """End the stream after what has been written, if the client still takes it."""
        self._ended = True
        self._wake()
        asyncio.get_running_loop().call_later(self._close_seconds, self.abort)

    def abort(self) -> None:
        """End the stream at once, also if its thread waits until the client reads."""
        self._drop()
        with self._unless_released() as is_held:
            if not is_held:
                return
            self._wake()
            if self._on_aborted is not None:
                self._on_aborted()
            if self._descriptor is None:
                return
            # The server closes it after release() has been called. If that was forgotten,
            # the number may be another client's by now.
            if identity_of(self._descriptor) == self._identity:
                end_for_all(self._descriptor)

    def pull(self, timeout_seconds: float) -> bytes | None:
        """
        Wait for bytes, in the server's thread.

        Args:
            timeout_seconds: How long; may be infinite.

        Returns:
            Whole blocks; ``b""`` after the timeout; :obj:`None` when the stream or
            the client has ended.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            taken = self._take()
            if taken != b"":
                return taken
            left = deadline - time.monotonic()
            if left <= 0:
                return b""
            if not self._wait(left):
                return None

    def ask_for_heartbeat(self) -> None:
        """Have something written: only a write can show whether the client is there."""
        if self._client is not None:
            self._post(self._client.on_silent)

    def release(self) -> None:
        """Close the pipe. What is written from now on is dropped."""
        if os.getpid() != self._process:
            # In a forked child, which does not have the thread that may have held it.
            self._lock = native.RLock()
        with self._lock:
            self._drop()
            self._descriptor = self._on_aborted = None
            if self._wake_writer >= 0:
                os.close(self._wake_reader)
                os.close(self._wake_writer)
                self._wake_reader = self._wake_writer = -1

    def _drop(self) -> None:
        self._ended = self._is_dropped = True
        self._chunks.clear()

    def _take(self) -> bytes | None:
        # The original: eventlet's waits where this one raises.
        with contextlib.suppress(BlockingIOError):
            native.original("os", "read")(self._wake_reader, 4096)
        # Asked first: what was written before the end is taken before it.
        has_ended = self._ended
        data = b"".join(self._taken_chunks())
        self._taken_bytes += len(data)
        if self.paused:
            self.paused = False
            if self._client is not None:
                self._post(self._client.on_resumed)
        return None if has_ended and not data else data

    def _taken_chunks(self) -> Iterator[bytes]:
        # The loop may drop them meanwhile.
        with contextlib.suppress(IndexError):
            for _ in range(len(self._chunks)):
                yield self._chunks.popleft()

    def _wait(self, seconds: float) -> bool:
        if native.eventlet():
            # It has no poll(), and would see only whether there is something to read.
            select.select([self._wake_reader], [], [], min(seconds, _MAX_POLL_MS / 1000))
            return True
        client = self._descriptor
        poll = select.poll()
        poll.register(self._wake_reader, select.POLLIN)
        if client is not None:
            # Not POLLIN: bytes of a pipelined request would make this a busy loop.
            poll.register(client, CLIENT_LEFT)
        milliseconds = min(seconds * 1000, _MAX_POLL_MS)
        events = dict(poll.poll(milliseconds))
        return client is None or client not in events

    def _wake(self) -> None:
        with self._unless_released() as is_held:
            if is_held:
                with contextlib.suppress(BlockingIOError):
                    native.original("os", "write")(self._wake_writer, b"!")

    @contextlib.contextmanager
    def _unless_released(self) -> Iterator[bool]:
        """Yield whether the stream is still the thread's, and stays so within the block."""
        if not self._lock.acquire(blocking=False):
            yield False
            return
        try:
            yield self._wake_writer >= 0
        finally:
            self._lock.release()
