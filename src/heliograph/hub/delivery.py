"""
Blocks out: the feeds that have subscribers, and the one task that sends.

A flush pass gives every subscriber of an audience what is behind its cursor. It yields to
the loop every so often; entries that arrive in between wait for the next pass, so under
load writes get larger instead of more. Nothing here waits for a client: a paused sink is
passed over until it resumes, and given up when it is too far behind, or when all who are
behind hold too much together.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ..channels.feed import HEARTBEAT, Feed, HeldBytes
from .lag import LagBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..channels.log import LogItem
    from ..channels.position import GapReason, Position, Positions
    from .sinks import Sink
    from .subscriber import Subscriber

__all__ = ["Delivery"]

_log = logging.getLogger("heliograph.hub")

# A flush pass lets the loop do other things after this many writes: about a millisecond.
# A feed counts as some of them, for what is encoded for it.
_WRITES_BETWEEN_YIELDS = 256
_WRITES_FOR_A_FEED = 4


class _Audience:
    """A feed and the subscribers that have caught up with it."""

    __slots__ = ("feed", "quiet_since", "subscribers")

    def __init__(self, feed: Feed, now: float) -> None:
        self.feed = feed
        self.subscribers: dict[Subscriber, None] = {}
        self.quiet_since = now


class Delivery:
    """
    Feeds and their subscribers, by selection.

    Args:
        max_lag_bytes: Bytes that a subscriber may be behind.
        max_lag_total_bytes: Bytes that may be held for all subscribers that are behind.
        forget: Called with a subscriber that is given up, before its sink is aborted.

    Attributes:
        lagging_disconnected: Subscribers given up because they were too far behind.
    """

    def __init__(
        self,
        max_lag_bytes: int,
        max_lag_total_bytes: int,
        forget: Callable[[Subscriber], None],
    ) -> None:
        self.lagging_disconnected = 0
        self._max_lag_bytes = max_lag_bytes
        self._held = HeldBytes()
        self._budget = LagBudget(
            max_lag_total_bytes, self._held, self._feed_of, self._give_up_lagging
        )
        self._forget = forget
        self._audiences: dict[tuple[str, ...], _Audience] = {}
        self._audiences_of: dict[str, set[_Audience]] = {}
        # Audiences with something to send, in the order in which it came.
        self._dirty: dict[_Audience, None] = {}
        self._something_dirty = asyncio.Event()
        self._writes = 0

    def __len__(self) -> int:
        return len(self._audiences)

    def join(self, subscriber: Subscriber, heads: Positions) -> None:
        """
        Send to a subscriber from now on.

        Args:
            subscriber: Has been given everything up to the heads.
            heads: Of the logs of its channels.
        """
        channels = subscriber.channels
        audience = self._audiences.get(channels)
        if audience is None:
            audience = _Audience(Feed(heads, self._held), asyncio.get_running_loop().time())
            self._audiences[channels] = audience
            for name in channels:
                self._audiences_of.setdefault(name, set()).add(audience)
        subscriber.cursor = audience.feed.join()
        audience.subscribers[subscriber] = None

    def leave(self, subscriber: Subscriber) -> None:
        """
        Send to a subscriber no more.

        Args:
            subscriber: One that has joined, or not.
        """
        cursor = subscriber.cursor
        if cursor is None:
            return
        audience = self._audiences[subscriber.channels]
        audience.feed.leave(cursor)
        subscriber.cursor = None
        del audience.subscribers[subscriber]
        if audience.subscribers:
            return
        del self._audiences[subscriber.channels]
        self._dirty.pop(audience, None)
        for name in subscriber.channels:
            self._audiences_of[name].discard(audience)
            if not self._audiences_of[name]:
                del self._audiences_of[name]

    def give_rest(self, subscriber: Subscriber) -> None:
        """
        Give a subscriber all that is behind its cursor, at once.

        Args:
            subscriber: One that has joined, or not.
        """
        cursor, sink = subscriber.cursor, subscriber.sink
        if cursor is None or sink is None:
            return
        feed = self._audiences[subscriber.channels].feed
        if feed.lag_bytes(cursor):
            self._write(subscriber, sink, feed.take(cursor))
            feed.trim()

    def append(self, channel: str, item: LogItem) -> None:
        """
        Carry a channel's next entry in all of its feeds.

        Args:
            channel: Its name.
            item: The entry, encoded.
        """
        for audience in self._audiences_of.get(channel, ()):
            audience.feed.append(item)
            self._mark_dirty(audience)

    def pass_by(self, channel: str, block: bytes) -> None:
        """
        Carry an event without a place in all feeds of a channel.

        Args:
            channel: Its name.
            block: The event, encoded without an id.
        """
        for audience in self._audiences_of.get(channel, ()):
            audience.feed.append_block(block)
            self._mark_dirty(audience)

    def announce_gap(self, channel: str, reason: GapReason, go_on: Position) -> int:
        """
        Tell all feeds of a channel that entries are missing.

        Args:
            channel: Its name.
            reason: Why.
            go_on: Just before the next entry.

        Returns:
            How many feeds there are.
        """
        audiences = self._audiences_of.get(channel, ())
        for audience in audiences:
            audience.feed.announce_gap(channel, reason, go_on)
            self._mark_dirty(audience)
        return len(audiences)

    def rename(self, channel: str, position: Position) -> None:
        """
        Tell all feeds of a channel what their place in it is called now.

        Args:
            channel: Its name.
            position: The place, in the channel's present life.
        """
        for audience in self._audiences_of.get(channel, ()):
            audience.feed.rename(channel, position)
            self._mark_dirty(audience)

    def beat(self, now: float, silence_seconds: float) -> None:
        """
        Break the silence of feeds that have been quiet.

        Args:
            now: The loop's time.
            silence_seconds: For how long.
        """
        for audience in self._audiences.values():
            if now - audience.quiet_since >= silence_seconds:
                audience.feed.append_block(HEARTBEAT)
                self._mark_dirty(audience)

    def bound_lag(self, subscribers: Iterable[Subscriber]) -> None:
        """
        Give up clients if too much is held for all who are behind. See :class:`LagBudget`.

        Args:
            subscribers: All of the hub, whether they have joined or not.
        """
        self._budget.look(subscribers)

    def _feed_of(self, subscriber: Subscriber) -> Feed:
        return self._audiences[subscriber.channels].feed

    async def flush_for_ever(self) -> None:
        """Send what there is to send, until cancelled."""
        while True:
            await self._something_dirty.wait()
            self._something_dirty.clear()
            while self._dirty:
                audience = next(iter(self._dirty))
                del self._dirty[audience]
                try:
                    await self._flush(audience)
                except Exception:  # noqa: BLE001 - logged; the reason follows
                    # One feed's fault must not silence all the others.
                    _log.exception("cannot send to the streams of a feed")

    def _mark_dirty(self, audience: _Audience) -> None:
        self._dirty[audience] = None
        self._something_dirty.set()

    async def _flush(self, audience: _Audience) -> None:
        feed = audience.feed
        audience.quiet_since = asyncio.get_running_loop().time()
        self._writes += _WRITES_FOR_A_FEED
        for subscriber in tuple(audience.subscribers):
            cursor, sink = subscriber.cursor, subscriber.sink
            if cursor is None or sink is None:
                continue  # it left while the pass yielded
            if not sink.paused:
                # Who has joined since, or was given the rest, has nothing to take.
                if data := feed.take(cursor):
                    self._write(subscriber, sink, data)
            elif feed.lag_bytes(cursor) > self._max_lag_bytes:
                self._give_up_lagging(subscriber)
            self._writes += 1
            if self._writes >= _WRITES_BETWEEN_YIELDS:
                self._writes = 0
                await asyncio.sleep(0)
        feed.trim()

    def _write(self, subscriber: Subscriber, sink: Sink, data: bytes) -> None:
        try:
            sink.write(data)
        except Exception:  # noqa: BLE001 - logged; the reason follows
            # One sink's fault must not end the pass that serves all the others.
            _log.exception("cannot write to a stream of %s", subscriber.channels)
            self._give_up(subscriber)

    def _give_up_lagging(self, subscriber: Subscriber) -> None:
        self.lagging_disconnected += 1
        self._give_up(subscriber)

    def _give_up(self, subscriber: Subscriber) -> None:
        sink = subscriber.sink
        self._forget(subscriber)
        if sink is None:
            return
        try:
            sink.abort()
        except Exception:  # noqa: BLE001 - as above
            _log.exception("cannot end a stream of %s", subscriber.channels)
