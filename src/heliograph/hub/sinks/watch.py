"""
Watches connections for what their clients send, for room to write, and for their end.

A loop's own transports do that as well, for some 1,400 bytes and 100 µs each. A connection
that is watched here costs an entry of a dictionary.
"""

from __future__ import annotations

import contextlib
import contextvars
import select
from typing import TYPE_CHECKING

from ... import native

if TYPE_CHECKING:
    import asyncio

    from .descriptor import DescriptorSink

__all__ = ["EpollWatch", "LoopWatch", "watch_of"]

# So many are told at a time, before the loop does something else.
_AT_ONCE = 256


def watch_of(loop: asyncio.AbstractEventLoop) -> EpollWatch | LoopWatch:
    """
    Return what watches connections on a loop.

    Args:
        loop: Runs in this thread.

    Raises:
        OSError: There are no descriptors left.
    """
    try:
        # The original: gevent takes the name away.
        epoll = native.original("select", "epoll")
    except AttributeError:
        return LoopWatch(loop)
    return EpollWatch(loop, epoll())


class EpollWatch:
    """
    All connections behind one descriptor, which the loop watches.

    Args:
        loop: Runs in this thread.
        epoll: Belongs to this from now on.

    Attributes:
        sinks: Who is told, by the descriptor of the connection.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, epoll: select.epoll) -> None:
        self.sinks: dict[int, DescriptorSink] = {}
        self._loop = loop
        self._epoll = epoll
        # Input is read although nobody wants it: a client that sends more than the kernel
        # keeps could not say that it leaves.
        self._usual = select.EPOLLIN | select.EPOLLRDHUP
        # A handle must not keep the request in which it was made.
        contextvars.Context().run(loop.add_reader, epoll.fileno(), self._tell)

    def add(self, number: int, sink: DescriptorSink) -> None:
        """
        Watch a connection for input and for its end from now on.

        Args:
            number: Its descriptor.
            sink: Told what happens.

        Raises:
            OSError: The system cannot watch it.
        """
        self._epoll.register(number, self._usual)
        self.sinks[number] = sink

    def want_room(self, number: int, *, wanted: bool) -> None:
        """Watch it for room. See :class:`.descriptor.Watch`."""
        room = select.EPOLLOUT if wanted else 0
        self._epoll.modify(number, self._usual | room)

    def forget(self, number: int) -> None:
        """Stop watching it. See :class:`.descriptor.Watch`."""
        del self.sinks[number]
        # A closed descriptor is not enough while a forked child has a copy. Somebody may
        # have closed it whose it is not.
        with contextlib.suppress(OSError):
            self._epoll.unregister(number)

    def close(self) -> None:
        """Stop watching, when all are forgotten."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _tell(self) -> None:
        # Nothing that is called here opens a connection, so that no number means another
        # one than when it was asked for.
        for number, what in self._epoll.poll(0, _AT_ONCE):
            sink = self.sinks.get(number)
            if sink is None:
                continue  # what another one did meanwhile has ended it
            if what & (select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR):
                sink.on_hangup()
                continue
            if what & select.EPOLLOUT:
                sink.on_room()
            if what & select.EPOLLIN:
                sink.on_input()


class LoopWatch:
    """
    Where there is no epoll, the loop watches each connection. See :class:`EpollWatch`.

    Args:
        loop: Runs in this thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.sinks: dict[int, DescriptorSink] = {}
        self._loop = loop

    def add(self, number: int, sink: DescriptorSink) -> None:
        """Watch a connection. See :class:`EpollWatch`."""
        contextvars.Context().run(self._loop.add_reader, number, sink.on_input)
        self.sinks[number] = sink

    def want_room(self, number: int, *, wanted: bool) -> None:
        """Watch it for room. See :class:`EpollWatch`."""
        if wanted:
            self._loop.add_writer(number, self.sinks[number].on_room)
        else:
            self._loop.remove_writer(number)

    def forget(self, number: int) -> None:
        """Stop watching it. See :class:`EpollWatch`."""
        del self.sinks[number]
        self._loop.remove_reader(number)
        self._loop.remove_writer(number)

    def close(self) -> None:
        """Do nothing. See :class:`EpollWatch`."""
