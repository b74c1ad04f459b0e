"""Connections that were taken over from servers and belong to the hub."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from typing import TYPE_CHECKING

from .. import native
from ..logs import Logger
from ..wire.heads import no_content
from .sinks import SocketSink, tune_socket
from .sinks.sink import CLOSE_SECONDS

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator

    from ..config import HubConfig
    from ..wire.framing import Framing
    from .tasks import Tasks

__all__ = ["Connections"]

_log = Logger("heliograph.hub")

# What is read at most of a client that gets no stream: 1 MiB, not to hold up the loop.
_READ_BYTES = 65_536
_MAX_READS = 16


class Connections:
    """
    Opens connections that were taken over, and waits for their end.

    Args:
        config: Options of the sockets.
        tasks: Runs a task for each connection that is being opened.
        close_seconds: See :class:`.SocketSink`.
    """

    def __init__(
        self, config: HubConfig, tasks: Tasks, *, close_seconds: float = CLOSE_SECONDS
    ) -> None:
        self._close_seconds = close_seconds
        self._config = config
        self._tasks = tasks
        self._sockets: dict[SocketSink, socket.socket] = {}
        self._closed = asyncio.Event()
        self._is_closing = False

    def __len__(self) -> int:
        return len(self._sockets)

    def __iter__(self) -> Iterator[socket.socket]:
        return iter(self._sockets.values())

    def adopt(
        self,
        connection: socket.socket,
        head: bytes,
        framing: Framing,
        *,
        before_head: Callable[[], Awaitable[bool]],
        on_open: Callable[[SocketSink], None],
        on_failed: Callable[[], None],
    ) -> None:
        """
        Serve a client over a connection from now on.

        Args:
            connection: A connected socket. It belongs to the hub from now on, and is closed
                if it cannot be opened.
            head: Bytes to send first.
            framing: How the blocks of the stream are delimited, as the head says.
            before_head: Awaited before the head is sent. Returns whether there is a stream:
                if not, the client gets the same head with the status 204, and no body.
            on_open: Called after that, with the sink for everything else.
            on_failed: Called if the connection is not opened.
        """
        try:
            connection.setblocking(False)  # noqa: FBT003 - no keyword
            tune_socket(connection, self._config)
        except OSError:
            # The client has left already.
            connection.close()
            on_failed()
            return
        if self._is_closing:
            # Nobody would wait for the task that opens it.
            _send_head_and_close(connection, head + framing.end)
            on_failed()
            return
        sink = SocketSink(
            head,
            framing,
            on_open=on_open,
            on_closed=self._forget,
            close_seconds=self._close_seconds,
        )
        self._sockets[sink] = connection
        self._tasks.start(self._open(sink, connection, head, before_head, on_failed))

    async def close(self, seconds: float) -> None:
        """
        Wait until clients have taken what was written to them.

        Args:
            seconds: How long to wait at most. Then their connections are aborted.
        """
        self._is_closing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._sockets:
                    self._closed.clear()
                    await self._closed.wait()
        for sink in tuple(self._sockets):
            try:
                sink.abort()
            except Exception:  # noqa: BLE001 - logged; the hub has to be closed all the same
                _log.exception("cannot end a connection of a stream")

    async def _open(
        self,
        sink: SocketSink,
        connection: socket.socket,
        head: bytes,
        before_head: Callable[[], Awaitable[bool]],
        on_failed: Callable[[], None],
    ) -> None:
        is_located = False
        try:
            has_stream = await before_head()
            is_located = True
            if not has_stream:
                self._forget(sink)
                _send_head_and_close(connection, no_content(head))
                on_failed()
                return
            loop = asyncio.get_running_loop()
            connection = self._sockets[sink] = _for_loop(loop, connection)
            await loop.connect_accepted_socket(lambda: sink, connection)
        except asyncio.CancelledError:
            # The hub is closed.
            if not is_located:
                self._forget(sink)
                _send_head_and_close(connection, head + sink.framing.end)
            raise
        except Exception:
            if self._sockets.pop(sink, None) is not None:
                with contextlib.suppress(OSError):
                    os.close(connection.detach())
                on_failed()
            raise

    def _forget(self, sink: SocketSink) -> None:
        self._sockets.pop(sink, None)
        self._closed.set()


def _for_loop(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> socket.socket:
    """Return an object for a connection whose number the loop closes, once."""
    # uvloop detaches a socket of the class that it knows and closes the number; one of
    # another class it closes as well, and so the number twice. It knows the class of the
    # time when it was imported: that of gevent or eventlet, where these have replaced it.
    if type(loop).__module__.startswith("uvloop") and (
        native.gevent() or native.eventlet()
    ):
        return _detached_when_closed()(fileno=connection.detach())
    return connection


@functools.cache
def _detached_when_closed() -> type[socket.socket]:
    kind = native.original("socket", "socket")
    return type("Detached", (kind,), {"close": lambda self: self.detach()})


def _send_head_and_close(connection: socket.socket, head: bytes) -> None:
    # A browser reconnects after a head, and not without.
    with connection, contextlib.suppress(OSError):
        connection.send(head)
        _drop_input(connection)


def _drop_input(connection: socket.socket) -> None:
    """Drop what a client has sent: the body of a request that nobody has read."""
    # The kernel resets a connection that is closed before it was read, and a client that
    # sees the reset may drop what it was sent.
    with contextlib.suppress(OSError):
        for _ in range(_MAX_READS):
            if not connection.recv(_READ_BYTES):
                break
