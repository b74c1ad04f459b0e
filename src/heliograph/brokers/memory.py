"""
Channels in the memory of one process: the reference implementation, and for tests.

Nothing survives the process, and no other process sees it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from ..channels.entry import Entry
from ..channels.position import Position
from ..errors import ConfigError
from .base import Broker, History, resolve
from .epoch import new_epoch
from .url import without_password

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..event import Event
    from .base import Attempt, Listener, Retention

__all__ = ["MemoryBroker", "from_url"]


def from_url(url: str, retention: Retention) -> Broker:
    """
    Return a new broker in memory.

    Args:
        url: ``memory:`` and nothing else.
        retention: How much history is kept per channel.

    Raises:
        ConfigError: Something follows the colon.
    """
    if url != "memory:":
        raise ConfigError(
            [f'{without_password(url)!r}: nothing may follow the colon; write "memory:"']
        )
    return MemoryBroker(retention)


class _Channel:
    __slots__ = ("ahead", "entries", "head", "ids")

    def __init__(self, head: Position) -> None:
        self.head = head
        # The offset of the last entry with a time that was in the future, and the time at
        # which that was noticed: it counts for retention instead.
        self.ahead = (0, 0.0)
        self.entries: deque[Entry] = deque()
        # An id of the publisher's own -> the entries held that have it, oldest first.
        self.ids: dict[str, deque[Position]] = {}


class MemoryBroker(Broker):
    """
    A broker in memory.

    Args:
        retention: How much history is kept per channel.
        clock: Returns seconds since the epoch of Unix.
    """

    def __init__(
        self, retention: Retention, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.resource = "memory:"
        self._retention = retention
        self._clock = clock
        # The head of all channels without an entry. One for all of them, so that asking for
        # a channel costs no memory.
        self._start = Position(new_epoch(), 0)
        self._channels: dict[str, _Channel] = {}
        self._listened: set[str] = set()
        # Handed to the listener in the next iteration of the loop, so that a burst is one
        # call.
        self._fresh: list[Entry] = []
        self._listener: Listener | None = None

    async def open(self, listener: Listener) -> None:
        """Start to hand entries to the listener."""
        self._listener = listener

    async def close(self) -> None:
        """Stop handing entries to the listener. The channels stay."""
        self._listener = None

    async def append(
        self,
        channel: str,
        event: Event,
        *,
        repeats: Attempt | None = None,  # noqa: ARG002 - this cannot fail
    ) -> Entry:
        """Store an event as the next of its channel. It lives as long as the process."""
        found = self._channels.setdefault(channel, _Channel(self._start))
        now = self._clock()
        self._trim(found, now)
        position = Position(found.head.epoch, found.head.offset + 1)
        entry = Entry(channel, position, event, now)
        found.head = position
        found.entries.append(entry)
        if event.id is not None:
            found.ids.setdefault(event.id, deque()).append(position)
        # Once more, for the number of events.
        self._trim(found, now)
        if channel in self._listened:
            if not self._fresh:
                asyncio.get_running_loop().call_soon(self._hand_over)
            self._fresh.append(entry)
        return entry

    async def read(self, channel: str, after: Position | None, limit: int) -> History:
        """Return what follows a position."""
        found = self._channels.get(channel) or _Channel(self._start)
        self._trim(found, self._clock())
        oldest = found.head.offset - len(found.entries) + 1
        offset, gap = resolve(after, found.head, oldest)
        first = offset - oldest + 1
        return History(
            entries=tuple(islice(found.entries, first, first + limit)),
            start=Position(found.head.epoch, offset),
            head=found.head,
            gap=gap,
        )

    async def find(self, channel: str, event_id: str) -> Position | None:
        """Return the position of the one entry with a publisher's own id."""
        found = self._channels.get(channel)
        if found is None:
            return None
        self._trim(found, self._clock())
        matches = found.ids.get(event_id)
        return matches[0] if matches is not None and len(matches) == 1 else None

    async def listen(self, channel: str) -> Position:
        """Hand new entries of a channel to the listener from now on."""
        self._listened.add(channel)
        return (self._channels.get(channel) or _Channel(self._start)).head

    def unlisten(self, channel: str) -> None:
        """Stop handing new entries of a channel to the listener."""
        self._listened.discard(channel)

    def _hand_over(self) -> None:
        fresh, self._fresh = self._fresh, []
        if self._listener is not None:
            self._listener.on_entries(fresh)

    def _trim(self, channel: _Channel, now: float) -> None:
        entries, head = channel.entries, channel.head.offset
        if entries and entries[-1].published_at > now and channel.ahead[0] < head:
            channel.ahead = head, now
        while entries and (
            len(entries) > self._retention.events
            or self._time_of(channel, entries[0], now) < now - self._retention.seconds
        ):
            event_id = entries.popleft().event.id
            if event_id is not None:
                matches = channel.ids[event_id]
                matches.popleft()
                if not matches:
                    del channel.ids[event_id]

    @staticmethod
    def _time_of(channel: _Channel, entry: Entry, now: float) -> float:
        """Return when an entry was published, for retention."""
        if entry.published_at <= now:
            return entry.published_at
        # A clock was wrong.
        offset, noticed_at = channel.ahead
        return noticed_at if entry.position.offset <= offset else now
