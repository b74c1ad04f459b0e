"""
The recent entries of one channel in this process.

The log is a bounded window that ends at the head: the last entry that this process has
received. Because offsets are dense, the index of an entry is a subtraction. The log never
holds entries of two epochs and never has a hole: :meth:`ChannelLog.append` returns
:attr:`Appended.NEW_EPOCH` or :attr:`Appended.AFTER_HOLE` where there would be one, and the
log begins again with the new entry.

The caller passes the time as ``now``: this module reads no clock.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING

from ..wire.encoder import encode_body
from .end import END_EVENT_TYPE

if TYPE_CHECKING:
    from .entry import Entry
    from .position import Position

__all__ = ["Appended", "ChannelLog", "LogItem"]


class LogItem:
    """
    An entry and its encoded body, shared by all feeds that carry it.

    Attributes:
        entry: The entry.
        body: The encoded event without its ``id:`` line.
        holders: How many feeds hold it for cursors that have not passed it.
    """

    __slots__ = ("body", "entry", "holders")

    def __init__(self, entry: Entry, body: bytes) -> None:
        self.entry = entry
        self.body = body
        self.holders = 0

    @classmethod
    def of(cls, entry: Entry) -> LogItem:
        """
        Encode an entry.

        Args:
            entry: Any entry.
        """
        return cls(entry, encode_body(entry.event))

    @property
    def has_end_after(self) -> bool:
        """Whether ``heliograph.end`` follows: it is another event, and ends its channel."""
        return self.entry.is_end and self.entry.event.type != END_EVENT_TYPE


class Appended(Enum):
    """What :meth:`ChannelLog.append` did with an entry."""

    NEXT = "next"
    """It followed the head."""
    KNOWN = "known"
    """It is at or before the head, and was ignored."""
    AFTER_HOLE = "trimmed"
    """Entries between the head and it are missing; the log begins again with it."""
    NEW_EPOCH = "epoch"
    """The channel has a new epoch; the log begins again with it."""


class ChannelLog:
    """
    A channel's recent entries, bounded by number, bytes and age.

    Args:
        head: The position after which entries will be appended.
        max_events: Entries held at most; at least 1.
        max_bytes: Encoded bytes held at most. The newest entry is held whatever its size.
        max_age_seconds: Entries older than this are dropped.
    """

    __slots__ = (
        "_bytes",
        "_items",
        "_max_age_seconds",
        "_max_bytes",
        "_max_events",
        "head",
    )

    def __init__(
        self, head: Position, *, max_events: int, max_bytes: int, max_age_seconds: float
    ) -> None:
        self.head = head
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._max_age_seconds = max_age_seconds
        self._items: deque[LogItem] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def held_bytes(self) -> int:
        """The size of all bodies held: at most ``max_bytes``, or one entry."""
        return self._bytes

    def append(self, item: LogItem, now: float) -> Appended:
        """
        Append the next entry of the channel.

        Args:
            item: Any entry of this channel.
            now: The time, in seconds since the epoch of Unix.

        Returns:
            What was done with it. On :attr:`Appended.AFTER_HOLE` and
            :attr:`Appended.NEW_EPOCH` the log holds this entry alone.
        """
        outcome = self._compare(item.entry.position)
        if outcome is Appended.KNOWN:
            return outcome
        if outcome is not Appended.NEXT:
            self.restart(item.entry.position)
        self._items.append(item)
        self._bytes += len(item.body)
        self.head = item.entry.position
        self.trim(now)
        return outcome

    def restart(self, head: Position) -> None:
        """
        Drop everything and begin at another head.

        Args:
            head: The position after which entries will be appended.
        """
        self._items.clear()
        self._bytes = 0
        self.head = head

    def _compare(self, position: Position) -> Appended:
        if position.epoch != self.head.epoch:
            # What came first in a new life is complete: there is no hole before it,
            # but all that is older belongs to another life.
            return Appended.NEW_EPOCH
        if position.offset <= self.head.offset:
            return Appended.KNOWN
        if position.offset > self.head.offset + 1:
            return Appended.AFTER_HOLE
        return Appended.NEXT

    def trim(self, now: float) -> None:
        """
        Drop what is beyond the bounds.

        Args:
            now: The time, in seconds since the epoch of Unix.
        """
        while self._items and (
            len(self._items) > self._max_events
            or (self._bytes > self._max_bytes and len(self._items) > 1)
            or self._is_oldest_too_old(now)
        ):
            self._bytes -= len(self._items.popleft().body)

    def _is_oldest_too_old(self, now: float) -> bool:
        for item in self._items:
            time = item.entry.published_at
            # A time in the future is of a clock that was wrong: the entry is at least as
            # old as the next one.
            if time <= now:
                return time < now - self._max_age_seconds
        return False

    def covers(self, position: Position) -> bool:
        """
        Return whether the log holds every entry between a position and the head.

        Args:
            position: Any position.

        Returns:
            :obj:`False` for a position of another epoch, or past the head.
        """
        oldest = self.head.offset - len(self._items)
        return (
            position.epoch == self.head.epoch
            and oldest <= position.offset <= self.head.offset
        )

    def after(self, position: Position, limit: int | None = None) -> list[LogItem]:
        """
        Return the entries after a position.

        Args:
            position: A position for which :meth:`covers` is true.
            limit: How many entries to return at most; :obj:`None` for all.

        Returns:
            Items, in channel order.
        """
        assert self.covers(position), position  # noqa: S101 - our invariant
        skipped = position.offset - (self.head.offset - len(self._items))
        stop = None if limit is None else skipped + limit
        return list(islice(self._items, skipped, stop))
