"""
Channels in the memory of one process: the reference implementation, and for tests.

Nothing survives the process, and no other process sees it.

A channel that is forgotten begins another life with its next event, so a client that
resumes in the former one gets a gap. Until its first event a channel is at offset 0 of a
life that all such channels share. That life is replaced from time to time, and its position
is honoured no longer once a channel is forgotten that is younger than it: events that a
client at that position has not seen cannot have come and gone with their channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from itertools import islice
from typing import TYPE_CHECKING

from ..channels.entry import Entry
from ..channels.names import is_internal
from ..channels.position import Position
from ..errors import ConfigError
from .base import Broker
from .epoch import new_epoch
from .inspection import Inspectable, Inspection
from .memory_channel import MemoryChannel
from .memory_inbox import Draft, Inbox
from .url import without_password
from .values import PLAIN, History, Retained, resolve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

    from ..event import Event
    from .base import Listener
    from .inspection import ChannelSummary
    from .values import Attempt, RetentionPolicy, Terms

__all__ = ["MemoryBroker", "from_url"]

# How long the life holds that channels without an event share, at most, and how often it is
# replaced in that time.
_SHARED_SECONDS = 30 * 86_400.0
_SHARED_LIVES = 4

# Channels that are looked at without letting others run.
_CHANNELS_AT_ONCE = 1_000


def from_url(url: str, retention: RetentionPolicy) -> Broker:
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


class MemoryBroker(Broker, Inspectable):
    """
    A broker in memory.

    Args:
        retention: How much history is kept per channel.
        clock: Returns seconds since the epoch of Unix.
        sweep_seconds: How often channels are looked at that nobody uses.
    """

    def __init__(
        self,
        retention: RetentionPolicy,
        *,
        clock: Callable[[], float] = time.time,
        sweep_seconds: float = 10.0,
    ) -> None:
        self.resource = "memory:"
        self._retention = retention
        self._clock = clock
        self._sweep_seconds = sweep_seconds
        # The lives that channels without an entry share, each with the time at which it
        # began; the last is the present one. One for all of them, so that asking for a
        # channel costs no memory.
        self._shared = {new_epoch(): clock()}
        self._channels: dict[str, MemoryChannel] = {}
        # What is listened to, and where channels without an entry begin: what the listener
        # was told.
        self._listened: dict[str, Position] = {}
        self._sweeping: asyncio.Task[None] | None = None
        # Handed to the listener in the next turn of the loop at the latest, so that a burst
        # is one call.
        self._fresh: list[Entry] = []
        self._listener: Listener | None = None
        # What other threads publish.
        self._inbox = Inbox(self._channels, self._store_draft, self._announce)
        # Without what the thread has in its own, such as a request.
        self._no_context = contextvars.Context()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self, listener: Listener) -> None:
        """Start to hand entries to the listener, and to forget what is too old."""
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._inbox.open()
        self._sweeping = asyncio.create_task(self._sweep_for_ever())

    async def close(self) -> None:
        """Stop handing entries to the listener. The channels stay."""
        self._inbox.close()
        self._listener = None
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})

    async def append(
        self,
        channel: str,
        event: Event,
        *,
        terms: Terms = PLAIN,
        repeats: Attempt | None = None,  # noqa: ARG002 - this cannot fail
    ) -> Entry:
        """Store an event as the next of its channel. It lives as long as the process."""
        return self.append_at_once(channel, event, terms=terms)

    def append_at_once(self, channel: str, event: Event, *, terms: Terms = PLAIN) -> Entry:
        """Store an event as the next of its channel, and wait for nothing."""
        with self._inbox:
            return self._store(channel, event, terms)

    def append_from_thread(
        self, channel: str, event: Event, on_stored: Callable[[], None]
    ) -> Entry | None:
        """Store an event as the next of its channel soon, from another thread."""
        position = self._inbox.add(Draft(channel, event, on_stored))
        return None if position is None else Entry(channel, position, event, self._clock())

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
            began=found.began,
            has_ended=found.ended_at is not None,
        )

    async def find(self, channel: str, event_id: str) -> Position | None:
        """Return the position of the one entry with a publisher's own id."""
        found = self._channels.get(channel)
        if found is None:
            return None
        self._trim(found, self._clock())
        matches = found.ids.get(event_id)
        return matches[0] if matches is not None and len(matches) == 1 else None

    async def retained(self, channel: str, after: int, limit: int) -> Retained:
        """Return retained entries."""
        found = self._found(channel)
        entries = (e for e in found.retained.values() if e.position.offset > after)
        return Retained(entries=tuple(islice(entries, limit)), head=found.head)

    async def retained_as(self, channel: str, key: str) -> Entry | None:
        """Return the retained entry that has a key."""
        return self._found(channel).retained.get(key)

    async def forget(self, channel: str, key: str) -> None:
        """Retain an entry no longer."""
        self._found(channel).retained.pop(key, None)

    async def begin(self, channel: str) -> Position:
        """Begin a new life of a channel, whether it has ended or not."""
        with self._inbox:
            found = self._found(channel)
            found.begin()
            self._use(found, self._clock())
            return found.head

    async def listen(self, channel: str) -> Position:
        """Hand new entries of a channel to the listener from now on."""
        found = self._found(channel)
        self._listened[channel] = Position(found.head.epoch, 0)
        has_ended, has_retained = found.ended_at is not None, bool(found.retained)
        if self._listener is not None and (has_ended or has_retained):
            self._listener.on_state(channel, has_ended=has_ended, has_retained=has_retained)
        return found.head

    def unlisten(self, channel: str) -> None:
        """Stop handing new entries of a channel to the listener."""
        self._listened.pop(channel, None)
        if channel in self._channels:
            self._use(self._channels[channel], self._clock())

    @contextlib.asynccontextmanager
    async def inspect(self) -> AsyncIterator[Inspection]:
        """
        Inspect the channels of this broker.

        Raises:
            ConfigError: The broker is not open, so there are none.
        """
        if self._listener is None:
            problem = (
                "'memory:' is inside of the process that opens it, and other processes do"
                " not see its channels; name storage that they share: sqlite:/// or redis://"
            )
            raise ConfigError([problem])
        yield _MemoryInspection(self._channels, self._listened)

    def _announce(self) -> bool:
        assert self._loop is not None  # noqa: S101 - the inbox was open
        try:
            self._loop.call_soon_threadsafe(self._empty_inbox, context=self._no_context)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            return False
        return True

    def _empty_inbox(self) -> None:
        with self._inbox:
            pass
        # Not in the next turn: other threads may have the interpreter before that.
        self._hand_over()

    def _store_draft(self, draft: Draft) -> None:
        self._store(draft.channel, draft.event, PLAIN)
        draft.on_stored()

    def _store(self, channel: str, event: Event, terms: Terms) -> Entry:
        found = self._found(channel)
        now = self._clock()
        self._trim(found, now)
        key = terms.idempotency_key
        if key is not None and key in found.repeats:
            return found.repeats[key]
        found.check(channel, terms)
        self._channels[channel] = found
        self._use(found, now)
        position = Position(found.head.epoch, found.head.offset + 1)
        entry = Entry(channel, position, event, now, terms.is_end, terms.retain_as)
        found.store(entry, terms)
        # Once more, for the number of events.
        self._trim(found, now)
        if channel in self._listened:
            if not self._fresh:
                asyncio.get_running_loop().call_soon(self._hand_over)
            self._fresh.append(entry)
        return entry

    def _use(self, channel: MemoryChannel, now: float) -> None:
        channel.used_at = max(now, self._shared_since)

    def _found(self, channel: str) -> MemoryChannel:
        """Return a channel; one without an entry is not kept."""
        found = self._channels.get(channel)
        if found is None:
            found = MemoryChannel(
                self._listened.get(channel, self._start),
                self._retention.of(channel),
                # Not before the present shared life began, whatever a clock does that goes
                # back: otherwise that life would be honoured after it is forgotten.
                max(self._clock(), self._shared_since),
            )
        return found

    @property
    def _shared_since(self) -> float:
        return next(reversed(self._shared.values()))

    @property
    def _start(self) -> Position:
        return Position(next(reversed(self._shared)), 0)

    def _hand_over(self) -> None:
        fresh, self._fresh = self._fresh, []
        if fresh and self._listener is not None:
            self._listener.on_entries(fresh)

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_seconds)
            await self._sweep()

    async def _sweep(self) -> None:
        """Remove entries that are too old, and forget channels."""
        now = self._clock()
        # A time in the future, of a clock that was wrong, becomes the present.
        self._shared = {epoch: min(at, now) for epoch, at in self._shared.items()}
        for n, (name, channel) in enumerate(list(self._channels.items())):
            if n % _CHANNELS_AT_ONCE == _CHANNELS_AT_ONCE - 1:
                await asyncio.sleep(0)
            if self._channels.get(name) is not channel:
                continue
            self._trim(channel, self._clock())
            channel.created_at = min(channel.created_at, now)
            channel.used_at = min(channel.used_at, now)
            if channel.ended_at is not None:
                channel.ended_at = min(channel.ended_at, now)
            with self._inbox:
                if self._is_forgotten(name, channel, now):
                    self._forget_channel(name, channel)
        self._end_shared(now - _SHARED_SECONDS)
        if now - self._shared_since >= _SHARED_SECONDS / _SHARED_LIVES:
            self._shared[new_epoch()] = now

    def _is_forgotten(self, name: str, channel: MemoryChannel, now: float) -> bool:
        retention = channel.retention
        seconds = max(retention.seconds, retention.forget_seconds)
        if channel.ended_at is not None and channel.ended_at <= now - seconds:
            return True
        return name not in self._listened and channel.used_at <= now - seconds

    def _forget_channel(self, name: str, channel: MemoryChannel) -> None:
        del self._channels[name]
        # Whoever was at the beginning of this channel has missed what was in it.
        self._end_shared(channel.created_at)
        if name in self._listened:
            self._listened[name] = self._start
            if self._listener is not None:
                self._listener.on_restart(name, self._start, gap=False)

    def _end_shared(self, until: float) -> None:
        """Honour no shared life that began before some time or then."""
        self._shared = {epoch: at for epoch, at in self._shared.items() if at > until}
        if not self._shared:
            self._shared[new_epoch()] = self._clock()

    def _trim(self, channel: MemoryChannel, now: float) -> None:
        entries, head = channel.entries, channel.head.offset
        if entries and entries[-1].published_at > now and channel.ahead[0] < head:
            channel.ahead = head, now
        events, oldest = channel.retention.events, now - channel.retention.seconds
        while entries and (
            len(entries) > events or self._time_of(channel, entries[0], now) < oldest
        ):
            entry = entries.popleft()
            key = channel.keys.pop(entry.position.offset, None)
            if key is not None:
                del channel.repeats[key]
            event_id = entry.event.id
            if event_id is not None:
                matches = channel.ids[event_id]
                matches.popleft()
                if not matches:
                    del channel.ids[event_id]

    @staticmethod
    def _time_of(channel: MemoryChannel, entry: Entry, now: float) -> float:
        """Return when an entry was published, for retention."""
        if entry.published_at <= now:
            return entry.published_at
        # A clock was wrong.
        offset, noticed_at = channel.ahead
        return noticed_at if entry.position.offset <= offset else now


class _MemoryInspection(Inspection):
    def __init__(
        self, channels: Mapping[str, MemoryChannel], listened: Mapping[str, Position]
    ) -> None:
        self._channels = channels
        self._listened = listened

    async def channels(self, prefix: str = "") -> AsyncGenerator[ChannelSummary, None]:
        for name in sorted(self._channels):
            if name.startswith(prefix) and not is_internal(name):
                summary = await self.channel(name)
                if summary is not None:
                    yield summary

    async def channel(self, name: str) -> ChannelSummary | None:
        found = self._channels.get(name)
        if found is None:
            return None
        return found.summary(name, listeners=int(name in self._listened))

    async def newest(self, name: str, limit: int) -> Sequence[Entry]:
        found = self._channels.get(name)
        return [*found.entries][-limit:] if found else []

    async def processes(self) -> int:
        return 1
