"""
Events that other threads publish to channels in memory, without waiting for the loop.

All channels are changed on the loop. A thread that publishes appends the event to a list,
which is one step of the interpreter, and from where it is in the list follows the position
that the event has in its channel: as many after the channel's head as there are events of
that channel before it. The loop stores what is in the list, in its order. Before it changes
a channel in any way it closes the list by a last item, and it opens a new one when it is
done. So if a thread finds no such item before its event, the list was open all the time,
and the head that the thread has read is the one to count from. If there is one, nobody
looks at the event any more.

No step holds a lock. A signal handler, a ``__del__`` or a tracing function may publish
between any two of them, in the thread that is publishing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..channels.position import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from ..event import Event
    from .memory_channel import MemoryChannel

__all__ = ["Draft", "Inbox"]

# Whoever finds more before it waits for the loop: threads must not publish faster than the
# loop stores for long, and each looks at what is before it.
_DRAFTS_AT_MOST = 64


class Draft:
    """
    An event that is numbered and not stored yet.

    Compared by identity, which is no step of the interpreter by itself.

    Args:
        channel: The channel's name.
        event: The event.
        published_at: The time, in seconds since the epoch of Unix.
        on_stored: Called on the loop.
    """

    __slots__ = ("channel", "event", "on_stored", "published_at")

    def __init__(
        self, channel: str, event: Event, published_at: float, on_stored: Callable[[], None]
    ) -> None:
        self.channel = channel
        self.event = event
        self.published_at = published_at
        self.on_stored = on_stored


class Inbox:
    """
    The list of them. On the loop a ``with`` block closes it: what is in it is stored first.

    Args:
        channels: All channels, by name. Their heads and ends, and which there are, change
            within such a block only.
        store: Stores an event.
    """

    def __init__(
        self, channels: Mapping[str, MemoryChannel], store: Callable[[Draft], None]
    ) -> None:
        self._channels = channels
        self._store = store
        self._is_open = False
        # None ends it.
        self._drafts: list[Draft | None] = [None]

    def open(self) -> None:
        """Let other threads add events, from now on."""
        self._is_open = True
        self._drafts = []

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
            list is closed or long, the channel has ended, or nothing was ever stored in it.
        """
        drafts = self._drafts
        channel = self._channels.get(draft.channel)
        if channel is None or len(drafts) >= _DRAFTS_AT_MOST:
            return None
        head = channel.head
        if channel.ended_at is not None:
            return None
        drafts.append(draft)
        before = drafts[: drafts.index(draft)]
        if None in before:
            return None
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
            self._drafts = []

    def _take(self) -> None:
        drafts, self._drafts = self._drafts, [None]
        drafts.append(None)
        for draft in drafts[: drafts.index(None)]:
            assert draft is not None  # noqa: S101 - the slice ends before the first
            self._store(draft)
