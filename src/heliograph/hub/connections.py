"""Connections that were taken over from servers and belong to the hub."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from ..logs import Logger
from ..wire.heads import no_content
from .sinks import DescriptorSink, tune_socket
from .sinks.sink import CLOSE_SECONDS
from .sinks.watch import watch_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from ..config import HubConfig
    from ..wire.framing import Framing
    from .sinks.descriptor import Keeper
    from .sinks.watch import EpollWatch, LoopWatch
    from .tasks import Tasks

__all__ = ["Connections"]

_log = Logger("heliograph.hub")

# What is read at most of a client that gets no stream: 1 MiB, not to hold up the loop.
_READ_BYTES = 65_536
_MAX_READS = 16


class Connections:
    """
    Opens connections that were taken over, and waits for their end. A :class:`.Keeper`.

    Args:
        config: Options of the sockets.
        tasks: Runs a task for each connection whose client has to be located.
        close_seconds: How long a client has to take its last bytes when it is closed.

    Attributes:
        config: As given.
        close_seconds: As given.
        stop_seconds: Always :obj:`None`: the hub finishes its streams itself.
    """

    def __init__(
        self, config: HubConfig, tasks: Tasks, *, close_seconds: float = CLOSE_SECONDS
    ) -> None:
        self.config = config
        self.close_seconds = close_seconds
        self.stop_seconds = None
        self._tasks = tasks
        self._watch: EpollWatch | LoopWatch | None = None
        # Those whose clients are being located.
        self._opening: set[socket.socket] = set()
        self._closed = asyncio.Event()
        self._is_closing = self._is_over = False

    @property
    def watch(self) -> EpollWatch | LoopWatch:
        """
        What watches the connections, on the running loop.

        Raises:
            OSError: The hub is closed, or there are no descriptors left.
        """
        if self._is_over:
            raise OSError("the hub is closed")
        if self._watch is None:
            self._watch = watch_of(asyncio.get_running_loop())
        return self._watch

    @property
    def sinks(self) -> tuple[DescriptorSink, ...]:
        """Those that are open now."""
        return () if self._watch is None else tuple(self._watch.sinks.values())

    def __len__(self) -> int:
        return len(self._opening) + (0 if self._watch is None else len(self._watch.sinks))

    def close_copies(self) -> None:
        """Close the descriptors that a forked child has inherited, in the child."""
        # Detached: what is left of their objects would close numbers that belong to
        # something else by then. The watch is shared with the parent, and stays.
        numbers = [connection.detach() for connection in self._opening]
        for number in (*numbers, *(() if self._watch is None else self._watch.sinks)):
            with contextlib.suppress(OSError):
                os.close(number)

    def adopt(
        self,
        connection: socket.socket,
        head: bytes,
        framing: Framing,
        *,
        before_head: Callable[[], Awaitable[bool]] | None,
        on_open: Callable[[DescriptorSink], None],
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
                :obj:`None` if there is one, and nothing to wait for.
            on_open: Called after that, with the sink for everything else.
            on_failed: Called if the connection is not opened.
        """
        try:
            connection.setblocking(False)  # noqa: FBT003 - no keyword
            tune_socket(connection, self.config)
        except OSError:
            # The client has left already.
            connection.close()
            on_failed()
            return
        if self._is_closing:
            # Nobody would wait for the task that opens it.
            _send_head_and_close(connection, head + framing.end)
            on_failed()
        elif before_head is None:
            self._open(connection, head, framing, on_open, on_failed)
        else:
            self._opening.add(connection)
            self._tasks.start(
                self._locate_and_open(
                    connection,
                    head,
                    framing,
                    before_head=before_head,
                    on_open=on_open,
                    on_failed=on_failed,
                )
            )

    def sink(
        self, connection: socket.socket, head: bytes, framing: Framing, keeper: Keeper
    ) -> DescriptorSink:
        """
        Return a sink for a connection.

        Args:
            connection: A connected socket that does not block. It belongs to the sink from
                now on, and is closed if there is none.
            head: Bytes to send first.
            framing: How the blocks of the stream are delimited, as the head says.
            keeper: Told when it is closed.

        Raises:
            OSError: The system cannot watch it, or the hub is closed.
        """
        sink = DescriptorSink(connection.fileno(), framing, keeper, head)
        try:
            self.watch.add(connection.fileno(), sink)
        except BaseException:
            connection.close()
            raise
        connection.detach()
        return sink

    def on_closed(self, sink: DescriptorSink) -> None:
        """See :class:`.Keeper`."""
        del sink
        self._closed.set()

    async def close(self, seconds: float) -> None:
        """
        Wait until clients have taken what was written to them.

        Args:
            seconds: How long to wait at most. Then their connections are aborted.
        """
        self._is_closing = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self):
                    self._closed.clear()
                    await self._closed.wait()
        self._abort_all()

    def stop_watching(self) -> None:
        """Abort what is left, and release what :attr:`watch` holds. Nothing opens now."""
        self._abort_all()
        self._is_over = True
        if self._watch is not None:
            self._watch.close()

    def _abort_all(self) -> None:
        for sink in self.sinks:
            try:
                sink.abort()
            except Exception:  # noqa: BLE001 - logged; the hub has to be closed all the same
                _log.exception("cannot end a connection of a stream")

    async def _locate_and_open(
        self,
        connection: socket.socket,
        head: bytes,
        framing: Framing,
        *,
        before_head: Callable[[], Awaitable[bool]],
        on_open: Callable[[DescriptorSink], None],
        on_failed: Callable[[], None],
    ) -> None:
        try:
            has_stream = await before_head()
        except asyncio.CancelledError:
            # The hub is closed.
            self._opening.discard(connection)
            _send_head_and_close(connection, head + framing.end)
            raise
        except Exception:
            self._opening.discard(connection)
            connection.close()
            on_failed()
            raise
        self._opening.discard(connection)
        if has_stream:
            self._open(connection, head, framing, on_open, on_failed)
        else:
            _send_head_and_close(connection, no_content(head))
            on_failed()
        self._closed.set()

    def _open(
        self,
        connection: socket.socket,
        head: bytes,
        framing: Framing,
        on_open: Callable[[DescriptorSink], None],
        on_failed: Callable[[], None],
    ) -> None:
        try:
            sink = self.sink(connection, head, framing, self)
        except Exception:  # noqa: BLE001 - logged: a loop's callback has no caller to tell
            _log.exception("cannot serve a connection that was taken over")
            on_failed()
            return
        try:
            on_open(sink)
        except BaseException:
            sink.abort()
            raise
        sink.send_head()


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
