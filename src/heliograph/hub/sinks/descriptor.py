"""
A client's connection that belongs to the hub, by its descriptor.

No transport of a loop: 10,000 of those take 14 MB. What the kernel does not take at once is
kept, without a copy, until it has room.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

from .descriptors import borrowed, end_for_all
from .sink import PAUSE_BYTES, timer_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...wire.framing import Framing
    from .sink import SinkClient

__all__ = ["DescriptorSink", "Keeper", "Watch", "can_own_descriptors"]

# A paused sink resumes when it holds no more than this.
_RESUME_BYTES = PAUSE_BYTES // 4

# What is read at a time, to be dropped.
_READ_BYTES = 64 * 1024

# How many pieces a system call may write: less than any system's IOV_MAX.
_PIECES = 64


_FLAGS = getattr(socket, "MSG_NOSIGNAL", 0) | getattr(socket, "MSG_DONTWAIT", 0)


def _system_send() -> Callable[[int, bytes, int, int], int]:
    """
    Return the system's ``send``, which returns -1 for any error.

    It does not give the interpreter lock away, as functions of the standard library do:
    beside threads that compute, a pass over a hundred streams would wait for it a hundred
    times, 5 ms each. The kernel does not block here.
    """
    try:
        send = ctypes.PyDLL(None).send
    except (AttributeError, OSError, TypeError):
        return lambda number, data, size, flags: -1  # noqa: ARG005 - see `_continue`
    # Without types of arguments: these cost as much as the rest of the call, and all who
    # call it are here.
    send.restype = ctypes.c_ssize_t
    return cast("Callable[[int, bytes, int, int], int]", send)


_send = _system_send()


def can_own_descriptors() -> bool:
    """Return whether this platform has what a :class:`DescriptorSink` needs."""
    return hasattr(socket.socket, "sendmsg")


@contextlib.contextmanager
def _socket_at(number: int) -> Iterator[socket.socket]:
    # For what is rare: making the object takes as long as sending.
    with borrowed(number, socket.AF_UNIX) as connection:
        # Who has a copy, such as a server or a forked child, may have changed that.
        connection.setblocking(False)  # noqa: FBT003 - no keyword
        yield connection


class Watch(Protocol):
    """What a sink asks of that which watches its connection. See :mod:`.watch`."""

    def want_room(self, number: int, *, wanted: bool) -> None:
        """
        Watch a connection for room, or stop that.

        Args:
            number: Its descriptor.
            wanted: Whether to tell when there is room.
        """
        ...

    def forget(self, number: int) -> None:
        """
        Stop watching a connection, before its descriptor is closed.

        Args:
            number: Its descriptor.
        """
        ...


class Keeper(Protocol):
    """Who keeps some sinks until they are closed."""

    @property
    def watch(self) -> Watch:
        """What watches their connections."""
        ...

    @property
    def close_seconds(self) -> float:
        """How long a client has to take its last bytes when it is closed."""
        ...

    @property
    def stop_seconds(self) -> float | None:
        """The same if their server stops already; :obj:`None` if it does not."""
        ...

    def on_closed(self, sink: DescriptorSink) -> None:
        """
        Forget a sink, whose descriptor is closed.

        Args:
            sink: Does nothing any more.
        """
        ...


class DescriptorSink:
    """
    A connection of the hub's own, on its loop. See :class:`.Sink`.

    Args:
        number: The descriptor, which does not block. It belongs to the sink, which closes
            it, and is watched by its keeper.
        framing: How blocks have to be delimited on the connection.
        keeper: Keeps it.
        head: What is sent before anything else, with the first bytes that are written or
            when :meth:`send_head` is called.
    """

    __slots__ = (
        "_aborting",
        "_client",
        "_is_closing",
        "_is_full",
        "_number",
        "_unsent",
        "framing",
        "keeper",
        "paused",
        "unsent_bytes",
    )

    def __init__(self, number: int, framing: Framing, keeper: Keeper, head: bytes) -> None:
        self.framing = framing
        self.paused = False
        self.keeper = keeper
        self.unsent_bytes = len(head)
        # Without a copy: what is sent to many is the same object for all.
        self._unsent: deque[memoryview | bytes] | None = deque([head]) if head else None
        self._is_full = self._is_closing = False
        self._client: SinkClient | None = None
        self._number = number
        self._aborting: asyncio.TimerHandle | None = None

    def attach(self, client: SinkClient) -> None:
        """Report from now on what happens to the client, and that its server stops."""
        self._client = client
        if self._number < 0:
            client.on_lost()
        elif self.keeper.stop_seconds is not None:
            self.stop()

    def write(self, data: bytes) -> None:
        """Send the client some bytes: the first ones together with the head."""
        if self._unsent is not None:
            self._hold(data)
            if self._is_full:
                self._pause_if_much()
            else:
                self._send_unsent()
            return
        size = len(data)
        sent = _send(self._number, data, size, _FLAGS)
        if sent != size:
            self._continue(data, sent)

    def send_head(self) -> None:
        """Send the head, unless it has been sent."""
        if self._unsent is not None and not self._is_full:
            self._send_unsent()

    def close(self) -> None:
        """End the stream after what has been written, if the client still takes it."""
        self._is_closing = True
        self.send_head()
        if self._unsent is None:
            self._end()
        else:
            self._abort_in(self.keeper.close_seconds)

    def abort(self) -> None:
        """End the stream at once."""
        self._end()

    def stop(self) -> None:
        """End the stream soon: its server stops. Whoever is attached later is told, too."""
        seconds = self.keeper.stop_seconds
        assert seconds is not None  # noqa: S101 - the keeper's
        if self._client is not None:
            self._client.finish()
        self._abort_in(seconds)

    # What the watch tells.

    def on_input(self) -> None:
        """Drop what the client has sent, and close if it has closed its half."""
        if self._number < 0:
            return
        try:
            with _socket_at(self._number) as connection:
                data = connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()

    def on_room(self) -> None:
        """Write what is left, and have the subscriber write what the client missed."""
        if self._unsent is not None:
            self._send_unsent()
        if self._is_closing and self._unsent is None:
            self._end()
        if self.paused and self._number >= 0 and self.unsent_bytes <= _RESUME_BYTES:
            self.paused = False
            if self._client is not None:
                self._client.on_resumed()

    def on_hangup(self) -> None:
        """Close: the client has left, or closed its half."""
        self._end()

    def _continue(self, data: bytes, sent: int) -> None:
        if self._number < 0:
            return
        self._unsent = deque()
        if sent < 0:
            # What the error is, the call of the standard library tells.
            self._hold(data)
            self._send_unsent()
        else:
            self._hold(memoryview(data)[sent:])
            self._wait_for_room()

    def _hold(self, data: bytes | memoryview) -> None:
        assert self._unsent is not None  # noqa: S101 - the callers'
        self._unsent.append(data)
        self.unsent_bytes += len(data)

    def _send_unsent(self) -> None:
        unsent = self._unsent
        assert unsent is not None  # noqa: S101 - there is something to send
        while unsent:
            pieces = list(itertools.islice(unsent, _PIECES))
            try:
                with _socket_at(self._number) as connection:
                    sent = connection.sendmsg(pieces, (), _FLAGS)
            except BlockingIOError:
                self._wait_for_room()
                return
            except OSError:
                self._end()
                return
            self.unsent_bytes -= sent
            while unsent and sent >= len(unsent[0]):
                sent -= len(unsent.popleft())
            if sent:
                unsent[0] = memoryview(unsent[0])[sent:]
        self._unsent = None
        if self._is_full:
            self._is_full = False
            self.keeper.watch.want_room(self._number, wanted=False)

    def _wait_for_room(self) -> None:
        if not self._is_full:
            self._is_full = True
            self.keeper.watch.want_room(self._number, wanted=True)
        self._pause_if_much()

    def _pause_if_much(self) -> None:
        if self.unsent_bytes > PAUSE_BYTES:
            self.paused = True

    def _end(self) -> None:
        if self._number < 0:
            return
        number, self._number = self._number, -1
        self._unsent, self.unsent_bytes = None, 0
        self.keeper.watch.forget(number)
        end_for_all(number)
        with contextlib.suppress(OSError):
            os.close(number)
        if self._aborting is not None:
            self._aborting.cancel()
        self.keeper.on_closed(self)
        # Each knows the other: let go, so that no collector is needed.
        client, self._client = self._client, None
        if client is not None:
            # In the next turn: this may be the middle of a pass over all clients.
            asyncio.get_running_loop().call_soon(client.on_lost)

    def _abort_in(self, seconds: float) -> None:
        if self._number < 0:
            return
        self._aborting = timer_within(seconds, self.abort, self._aborting)
