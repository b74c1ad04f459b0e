"""
Channels in the memory of one process: the reference implementation, and for tests.

Nothing survives the process, and no other process sees it.

A channel that is neither published nor listened to loses what is too old, and is forgotten
after a while. Then it begins another life with its next event, so a client that resumes in
the former one gets a gap. Until its first event a channel is at offset 0 of a life that
all such channels share. That life is replaced from time to time, and its position is
honoured for less long than any channel takes to be forgotten: events that a client at that
position has not seen cannot have come and gone with their channel.
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

# A channel is remembered as long as history, and at least so long, after its last event: a
# client that was away for an hour and has missed nothing gets no gap.
_REMEMBER_SECONDS = 3600.0

# The life that channels without an event share is replaced so often in that time.
_SHARED_LIVES = 4

# How often channels are looked at: a part of history, within these limits.
_SWEEPS_PER_HISTORY = 10
_SWEEP_SECONDS = 0.05, 60.0

# Channels that are looked at without letting others run.
_CHANNELS_AT_ONCE = 1_000


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
    __slots__ = ("ahead", "entries", "head", "ids", "used_at")

    def __init__(self, head: Position) -> None:
        self.head = head
        # When it was last published or listened to.
        self.used_at = 0.0
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
        self._remember_seconds = max(retention.seconds, _REMEMBER_SECONDS)
        # The lives that channels without an entry share, each with the time at which it
        # began; the last is the present one. One for all of them, so that asking for a
        # channel costs no memory.
        self._shared = {new_epoch(): clock()}
        self._channels: dict[str, _Channel] = {}
        # What is listened to, and where channels without an entry begin: what the listener
        # was told.
        self._listened: dict[str, Position] = {}
        self._sweeping: asyncio.Task[None] | None = None
        # Handed to the listener in the next iteration of the loop, so that a burst is one
        # call.
        self._fresh: list[Entry] = []
        self._listener: Listener | None = None

    async def open(self, listener: Listener) -> None:
        """Start to hand entries to the listener, and to forget what is too old."""
        self._listener = listener
        self._sweeping = asyncio.create_task(self._sweep_for_ever())

    async def close(self) -> None:
        """Stop handing entries to the listener. The channels stay."""
        self._listener = None
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})

    async def append(
        self,
        channel: str,
        event: Event,
        *,
        repeats: Attempt | None = None,  # noqa: ARG002 - this cannot fail
    ) -> Entry:
        """Store an event as the next of its channel. It lives as long as the process."""
        found = self._channels.setdefault(channel, self._found(channel))
        now = self._clock()
        self._use(found, now)
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
        found = self._found(channel)
        self._trim(found, self._clock())
        oldest = found.head.offset - len(found.entries) + 1
        was_empty = after is not None and after.epoch in self._shared
        offset, gap = resolve(after, found.head, oldest, 0 if was_empty else None)
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
        head = self._found(channel).head
        self._listened[channel] = Position(head.epoch, 0)
        return head

    def unlisten(self, channel: str) -> None:
        """Stop handing new entries of a channel to the listener."""
        self._listened.pop(channel, None)
        if channel in self._channels:
            self._use(self._channels[channel], self._clock())

    def _use(self, channel: _Channel, now: float) -> None:
        # Not before the present shared life began, whatever a clock does that goes back:
        # otherwise the channel might be forgotten while that life is honoured.
        channel.used_at = max(now, next(reversed(self._shared.values())))

    def _found(self, channel: str) -> _Channel:
        """Return a channel; one without an entry is not kept."""
        found = self._channels.get(channel)
        if found is None:
            found = _Channel(self._listened.get(channel, self._start))
        return found

    @property
    def _start(self) -> Position:
        return Position(next(reversed(self._shared)), 0)

    def _hand_over(self) -> None:
        fresh, self._fresh = self._fresh, []
        if self._listener is not None:
            self._listener.on_entries(fresh)

    async def _sweep_for_ever(self) -> None:
        least, most = _SWEEP_SECONDS
        seconds = min(max(self._retention.seconds / _SWEEPS_PER_HISTORY, least), most)
        while True:
            await asyncio.sleep(seconds)
            await self._sweep()

    async def _sweep(self) -> None:
        """Remove entries that are too old, and channels that nobody has used for long."""
        # One time for all: a shared life ends before any channel is forgotten that was
        # empty in it. A time in the future, of a clock that was wrong, becomes the present.
        now = self._clock()
        forgotten = now - self._remember_seconds
        self._shared = {
            epoch: min(began, now)
            for epoch, began in self._shared.items()
            if began > forgotten
        }
        latest = max(self._shared.values(), default=forgotten)
        if now - latest >= self._remember_seconds / _SHARED_LIVES:
            self._shared[new_epoch()] = now
        for n, (name, channel) in enumerate(list(self._channels.items())):
            if n % _CHANNELS_AT_ONCE == _CHANNELS_AT_ONCE - 1:
                await asyncio.sleep(0)
            self._trim(channel, self._clock())
            channel.used_at = min(channel.used_at, now)
            if (
                not channel.entries
                and channel.used_at <= forgotten
                and name not in self._listened
            ):
                del self._channels[name]

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
