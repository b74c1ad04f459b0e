"""One channel in the memory of this process."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ..errors import ChannelEndedError, TooManyRetainedError
from .inspection import ChannelSummary

if TYPE_CHECKING:
    from ..channels.entry import Entry
    from ..channels.position import Position
    from .values import Retention, Terms

__all__ = ["MemoryChannel"]


class MemoryChannel:
    """
    A channel: its history, what it retains, and its end.

    Args:
        head: The position at which it begins.
        retention: How much is kept of it.
        now: The present time, in seconds since the epoch of Unix.
    """

    __slots__ = (
        "ahead",
        "began",
        "created_at",
        "ended_at",
        "entries",
        "head",
        "ids",
        "keys",
        "repeats",
        "retained",
        "retention",
        "used_at",
    )

    def __init__(self, head: Position, retention: Retention, now: float) -> None:
        self.head = head
        self.retention = retention
        self.created_at = now
        # When it was last published or listened to.
        self.used_at = now
        # The offset after which its present life began, and when that has ended.
        self.began = head.offset
        self.ended_at: float | None = None
        # The offset of the last entry with a time that was in the future, and the time at
        # which that was noticed: it counts for retention instead.
        self.ahead = (0, 0.0)
        self.entries: deque[Entry] = deque()
        # An id of the publisher's own -> the entries held that have it, oldest first.
        self.ids: dict[str, deque[Position]] = {}
        # An idempotency key -> the entry held that has it, and an offset -> that key.
        self.repeats: dict[str, Entry] = {}
        self.keys: dict[int, str] = {}
        # A key -> the entry that is retained, in the order of offsets.
        self.retained: dict[str, Entry] = {}

    def begin(self) -> None:
        """Begin a new life, without history and retained entries."""
        self.entries.clear()
        self.ids.clear()
        self.repeats.clear()
        self.keys.clear()
        self.retained.clear()
        self.began = self.head.offset
        self.ended_at = None

    def check(self, name: str, terms: Terms) -> None:
        """
        Raise if an entry must not be stored.

        Args:
            name: The channel's name, for errors.
            terms: What is to be done beside storing it.

        Raises:
            ChannelEndedError: The channel has ended.
            TooManyRetainedError: The channel has as many retained entries as it may.
        """
        if self.ended_at is not None:
            raise ChannelEndedError(name)
        limit = self.retention.retained_keys
        key = terms.retain_as
        if key is not None and key not in self.retained and len(self.retained) >= limit:
            raise TooManyRetainedError(name, limit)

    def store(self, entry: Entry, terms: Terms) -> None:
        """
        Store an entry as the next one.

        Args:
            entry: At the position that follows the head.
            terms: What is to be done beside storing it.
        """
        self.head = entry.position
        self.entries.append(entry)
        if entry.event.id is not None:
            self.ids.setdefault(entry.event.id, deque()).append(entry.position)
        if terms.idempotency_key is not None:
            self.repeats[terms.idempotency_key] = entry
            self.keys[entry.position.offset] = terms.idempotency_key
        if entry.retained_as is not None:
            # Anew, so that it is the last in the order of offsets.
            self.retained.pop(entry.retained_as, None)
            self.retained[entry.retained_as] = entry
        if entry.is_end:
            self.ended_at = entry.published_at

    def summary(self, name: str, *, listeners: int) -> ChannelSummary:
        """
        Return what is held of the channel.

        Args:
            name: The channel's name.
            listeners: Number of processes that listen to it.
        """
        kept = {entry.position: entry for entry in self.retained.values()}
        kept |= {entry.position: entry for entry in self.entries}
        return ChannelSummary(
            name=name,
            head=self.head,
            events=len(self.entries),
            oldest_at=self.entries[0].published_at if self.entries else None,
            retained=len(self.retained),
            size_bytes=sum(len(entry.event.data.encode()) for entry in kept.values()),
            has_ended=self.ended_at is not None,
            listeners=listeners,
        )
