"""
The ways in which bytes reach a client.

:class:`SocketSink` owns the client's connection, taken over from the server;
:class:`ConnectionSink` is what it has in common with others that do.
:class:`PullSink` is emptied by a thread of the server, where that is not possible, and
:class:`TaskSink` by a task on the hub's own loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..config import HubConfig

__all__ = [
    "ConnectionSink",
    "PullSink",
    "SocketSink",
    "TaskSink",
    "can_see_clients",
    "client_has_left",
    "duplicate",
    "identity_of",
    "tune_descriptor",
    "tune_socket",
]

# Bytes in the process that a client may leave unread before it counts as paused: one
# write of the usual size, so that a short stall does not make a client slow.
_PAUSE_BYTES = 64 * 1024

# What Linux takes for a connection, and poll() for its time.
_MAX_KEEPALIVE_SECONDS = 32_767
_MAX_POLL_MS = 2**31 - 1

# How long a client has to take its last bytes when its stream is ended.
_CLOSE_SECONDS = 5.0


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
        self._transport.set_write_buffer_limits(high=_PAUSE_BYTES)

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
        self._abort_in(_CLOSE_SECONDS)

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


# What poll() says of a client that has closed its half, where there is such a thing.
_CLIENT_LEFT = getattr(select, "POLLRDHUP", 0)


def can_see_clients() -> bool:
    """Say whether the ``poll`` of this process tells when a client closes its half."""
    # That of gevent's patches looks for what can be read or written only.
    return bool(_CLIENT_LEFT) and not select.poll.__module__.startswith("gevent")


def client_has_left(number: int) -> bool:
    """
    Return whether a client has closed its half of a connection, without waiting.

    Args:
        number: The connection's descriptor.

    Returns:
        False where :func:`can_see_clients` is.
    """
    if not can_see_clients():
        return False
    poll = select.poll()
    # Not POLLIN: bytes of a pipelined request say nothing.
    poll.register(number, _CLIENT_LEFT)
    return bool(poll.poll(0))


class PullSink:
    """
    Bytes for a thread that serves the client, handed from the hub's loop.

    Args:
        on_resumed: Called, in the server's thread, when a paused sink is ready again.
        client: Descriptor of the client's connection, to notice that it has gone and to end
            it; :obj:`None` where the server does not give it.
        on_aborted: Called, in any thread, when the connection is to be ended.
    """

    def __init__(
        self,
        *,
        on_resumed: Callable[[], None],
        client: int | None,
        on_aborted: Callable[[], None] | None = None,
    ) -> None:
        self.paused = False
        self._on_resumed = on_resumed
        self._on_aborted = on_aborted
        self._client = client
        self._identity = None if client is None else identity_of(client)
        # Reentrant: the collector may close a generator, and so come to release(), at any
        # moment.
        self._lock = threading.RLock()
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        # A pipe and not a Condition: poll() can wait for it and the client at once.
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)

    @property
    def unsent_bytes(self) -> int:
        """How many bytes the thread has yet to take."""
        return self._size

    def write(self, data: bytes) -> None:
        """Hold some bytes for the thread."""
        with self._lock:
            if self._ended:
                return
            self._chunks.append(data)
            self._size += len(data)
            self.paused = self._size > _PAUSE_BYTES
            self._wake()

    def close(self) -> None:
        """End the stream after what has been written, if the client still takes it."""
        with self._lock:
            self._ended = True
            self._wake()
        asyncio.get_running_loop().call_later(_CLOSE_SECONDS, self.abort)

    def abort(self) -> None:
        """End the stream at once, also if its thread waits until the client reads."""
        with self._lock:
            self._chunks.clear()
            self._ended = True
            self._wake()
            if self._on_aborted is not None:
                self._on_aborted()
            if self._client is None:
                return
            # The server's until we are released. Somebody who forgets to do that may have
            # closed it, and its number may be another client's by now.
            with contextlib.suppress(OSError):
                if identity_of(self._client) == self._identity:
                    with _borrowed(self._client) as connection:
                        connection.shutdown(socket.SHUT_RDWR)

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

    def release(self) -> None:
        """Give the pipe back. The sink may still be written to, for nothing."""
        with self._lock:
            self._ended = True
            self._client = self._on_aborted = None
            self._chunks.clear()
            if self._wake_writer >= 0:
                os.close(self._wake_reader)
                os.close(self._wake_writer)
                self._wake_reader = self._wake_writer = -1

    def _take(self) -> bytes | None:
        with self._lock:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_reader, 4096)
            if not self._chunks:
                return None if self._ended else b""
            data = b"".join(self._chunks)
            self._chunks.clear()
            self._size = 0
            was_paused, self.paused = self.paused, False
        if was_paused:
            self._on_resumed()
        return data

    def _wait(self, seconds: float) -> bool:
        client = self._client
        poll = select.poll()
        poll.register(self._wake_reader, select.POLLIN)
        if client is not None:
            # Not POLLIN: bytes of a pipelined request would make this a busy loop.
            poll.register(client, _CLIENT_LEFT)
        milliseconds = min(seconds * 1000, _MAX_POLL_MS)
        events = dict(poll.poll(milliseconds))
        return client is None or client not in events

    def _wake(self) -> None:
        if self._wake_writer >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake_writer, b"!")


class TaskSink:
    """
    Bytes for a task on the hub's loop.

    Args:
        on_resumed: Called when a paused sink is ready again.
        on_aborted: Called when the stream is to end at once, whatever the task waits for.

    Attributes:
        closed: Whether the stream is ended after what has been written.
    """

    def __init__(
        self, *, on_resumed: Callable[[], None], on_aborted: Callable[[], None]
    ) -> None:
        self.paused = self.closed = False
        self._on_resumed = on_resumed
        self._on_aborted = on_aborted
        self._chunks: list[bytes] = []
        self._size = 0
        self._ended = False
        self._waiting: asyncio.Future[None] | None = None

    @property
    def unsent_bytes(self) -> int:
        """How many bytes the task has yet to take."""
        return self._size

    def write(self, data: bytes) -> None:
        """Hold some bytes for the task."""
        if self._ended:
            return
        self._chunks.append(data)
        self._size += len(data)
        self.paused = self._size > _PAUSE_BYTES
        self._wake()

    def close(self) -> None:
        """End the stream after what has been written, if the client still takes it."""
        if self._ended:
            return
        self._ended = self.closed = True
        self._wake()
        asyncio.get_running_loop().call_later(_CLOSE_SECONDS, self._on_aborted)

    def abort(self) -> None:
        """End the stream at once."""
        self._ended = True
        self._chunks.clear()
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
            self._on_resumed()
        return data

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def tune_socket(connection: socket.socket, config: HubConfig) -> None:
    """
    Make a client's connection prompt, bounded, and aware of a peer that has died.

    Args:
        connection: A stream socket of any family.
        config: Gives ``send_buffer_bytes`` and ``dead_peer_seconds``.
    """
    if config.send_buffer_bytes is not None:
        # Linux doubles the number for its own bookkeeping.
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, config.send_buffer_bytes // 2
        )
    if connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # A dead peer shows in two ways: what was sent is not acknowledged, or, while
    # nothing is sent, probes are not answered. Each option covers one of them. Since
    # Linux 5.11 the first is also for a peer that has no room for what is to be sent.
    seconds = config.dead_peer_seconds
    options = {
        "TCP_USER_TIMEOUT": int(seconds * 1000),
        "TCP_KEEPIDLE": min(max(1, int(seconds / 2)), _MAX_KEEPALIVE_SECONDS),
        "TCP_KEEPINTVL": min(max(1, int(seconds / 6)), _MAX_KEEPALIVE_SECONDS),
        "TCP_KEEPCNT": 3,
    }
    for name, value in options.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def tune_descriptor(number: int, config: HubConfig) -> None:
    """
    Do what :func:`tune_socket` does for a connection that somebody else has.

    Args:
        number: Its descriptor. The options are of the connection, so they can be set
            through a copy.
        config: Gives ``send_buffer_bytes`` and ``dead_peer_seconds``.
    """
    # A client that has gone already is noticed by whoever serves it.
    with contextlib.suppress(OSError), _borrowed(number) as connection:
        tune_socket(connection, config)


def duplicate(number: int) -> socket.socket:
    """
    Return a socket of one's own for a connection that somebody else has.

    Args:
        number: Its descriptor.

    Raises:
        OSError: It is not open or no socket any more, or there are no descriptors left.
    """
    blocks = os.get_blocking(number)
    copy = os.dup(number)
    try:
        connection = socket.socket(fileno=copy)
    except BaseException:
        os.close(copy)
        raise
    # A default time-out has made it one that does not block, for its owner as well.
    os.set_blocking(copy, blocks)
    return connection


@contextlib.contextmanager
def _borrowed(number: int) -> Iterator[socket.socket]:
    """Yield a socket of a descriptor that somebody else has, for a moment."""
    with duplicate(number) as connection:
        yield connection


def identity_of(number: int) -> int | None:
    """
    Return what no other open connection of the machine has.

    Args:
        number: A descriptor.

    Returns:
        :obj:`None` if it is not open.
    """
    try:
        return os.fstat(number).st_ino
    except OSError:
        return None
