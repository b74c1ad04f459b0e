"""
Events that other threads publish to channels in memory, without waiting for the loop.

All channels are changed on the loop. A thread that publishes appends the event to a list,
which is one step of the interpreter, and the position that the event has in its channel
follows from its place in the list: as many after the channel's head as there are events of
that channel before it. The loop stores what is in the list, in its order. Before it changes
a head or an end, or which channels there are, it closes the list by a last item, and it
opens a new one when it is done. So if a thread finds no such item before its event, the
list was open all the time, and the head that the thread has read is the one to count from.
If there is one, nobody looks at the event any more.

No step holds a lock. A signal handler, a ``__del__`` or a tracing function may publish
between any two of them, in the thread that is publishing, and may raise there.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ..channels.position import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from ..event import Event
    from .memory_channel import MemoryChannel

__all__ = ["Draft", "Inbox"]

# Whoever finds as many before it waits for the loop: threads must not publish faster than
# the loop stores for long, and adding an event costs a look at all before it.
_DRAFTS_AT_MOST = 64


class Draft:
    """
    An event that is numbered and not stored yet.

    Compared by identity, so that searching a list runs no Python code.

    Args:
        channel: The channel's name.
        event: The event.
        on_stored: Called on the loop.
    """

    __slots__ = ("channel", "event", "on_stored")

    def __init__(self, channel: str, event: Event, on_stored: Callable[[], None]) -> None:
        self.channel = channel
        self.event = event
        self.on_stored = on_stored


class _Drafts(list["Draft | None"]):
    """Drafts, and None behind the last one. Whether the loop was told of this list."""

    is_announced = False


class Inbox:
    """
    The list of them. On the loop a ``with`` block closes it: what is in it is stored first.

    Args:
        channels: All channels, by name. Their heads and ends, and which there are, change
            within such a block only.
        store: Stores an event.
        announce: Has the loop enter such a block soon; returns whether it will. For any
            thread.
    """

    def __init__(
        self,
        channels: Mapping[str, MemoryChannel],
        store: Callable[[Draft], None],
        announce: Callable[[], bool],
    ) -> None:
        self._channels = channels
        self._store = store
        self._announce = announce
        self._is_open = False
        self._drafts = _Drafts([None])
        # Kept here: an exception that is raised in the hub's thread must not lose them.
        self._taken: deque[Draft] = deque()

    def open(self) -> None:
        """Open the list: threads may add events until it is closed."""
        self._is_open = True
        self._drafts = _Drafts()

    def close(self) -> None:
        """Store all events, and let nobody add others, also after a block."""
        self._is_open = False
        self._take()

    def add(self, draft: Draft) -> Position | None:
        """
        Add an event. For any thread but the loop's.

        Args:
            draft: The event.

        Returns:
            The position that it has in its channel; :obj:`None` if it was not added: the
            list is closed or long, the channel has ended, or nothing was ever stored in it,
            or the loop has ended.
        """
        drafts = self._drafts
        channel = self._channels.get(draft.channel)
        if channel is None or len(drafts) >= _DRAFTS_AT_MOST:
            return None
        head = channel.head
        if channel.ended_at is not None:
            return None
        try:
            drafts.append(draft)
            before = drafts[: drafts.index(draft)]
            if None in before:
                return None
            if not drafts.is_announced:
                if not self._announce() and self._is_open:
                    return None
                # Not before: whoever finds it may ask the loop for the event.
                drafts.is_announced = True
        except BaseException:
            # A signal handler has raised, and the event may be in the list.
            self._announce()
            raise
        earlier = sum(one.channel == draft.channel for one in before if one is not None)
        return Position(head.epoch, head.offset + earlier + 1)

    def __enter__(self) -> None:
        self._take()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_open:
            self._drafts = _Drafts()

    def _take(self) -> None:
        drafts, self._drafts = self._drafts, _Drafts([None])
        drafts.append(None)
        for draft in drafts[: drafts.index(None)]:
            assert draft is not None  # noqa: S101 - the slice ends before the first
            self._taken.append(draft)
        while self._taken:
            self._store(self._taken.popleft())
