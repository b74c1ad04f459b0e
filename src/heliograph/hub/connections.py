"""The clients that a hub serves over connections of their own, taken over from servers."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from .sinks import SocketSink, tune_socket
from .sinks.sink import CLOSE_SECONDS

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator

    from ..config import HubConfig
    from .tasks import Tasks

__all__ = ["Connections"]


class Connections:
    """
    Adopts connections, and waits for their end.

    Args:
        config: For the options of the sockets.
        tasks: Runs those that are being opened.
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
        *,
        before_head: Callable[[], Awaitable[None]],
        on_open: Callable[[SocketSink], None],
        on_failed: Callable[[], None],
    ) -> None:
        """
        Serve a client over a connection from now on.

        Args:
            connection: The hub's from now on, whatever happens.
            head: Bytes to send first.
            before_head: Awaited before they are sent.
            on_open: Called when they have been sent, with what takes the rest.
            on_failed: Called if it does not come to that.
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
            _send_head_and_close(connection, head)
            on_failed()
            return
        sink = SocketSink(
            head,
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
            seconds: How long. Then their connections are aborted.
        """
        self._is_closing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._sockets:
                    self._closed.clear()
                    await self._closed.wait()
        for sink in tuple(self._sockets):
            sink.abort()

    async def _open(
        self,
        sink: SocketSink,
        connection: socket.socket,
        head: bytes,
        before_head: Callable[[], Awaitable[None]],
        on_failed: Callable[[], None],
    ) -> None:
        is_located = False
        try:
            await before_head()
            is_located = True
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: sink, connection
            )
        except asyncio.CancelledError:
            # The hub is closed.
            if not is_located:
                self._forget(sink)
                _send_head_and_close(connection, head)
            raise
        except Exception:
            if self._sockets.pop(sink, None) is not None:
                connection.close()
                on_failed()
            raise

    def _forget(self, sink: SocketSink) -> None:
        self._sockets.pop(sink, None)
        self._closed.set()


def _send_head_and_close(connection: socket.socket, head: bytes) -> None:
    # A browser reconnects after a head, and not without.
    with connection, contextlib.suppress(OSError):
        connection.send(head)
