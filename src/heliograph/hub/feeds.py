"""
The feeds of all selections that have subscribers, and the tasks that send.

A flush pass has every subscriber of a feed write what is behind its cursor. It yields to
the loop every so often; entries that arrive in between wait for the next pass, so under
load writes get larger instead of more. Nothing here waits for a client: one whose sink is
paused is skipped until that resumes, and dropped when it is too far behind, or when all
that are behind hold too much together.

The background loops survive what one client or one feed does: they serve all the others.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ..channels.feed import HEARTBEAT, Feed, HeldBytes
from ..wire.encoder import encode_body
from .lag import LagBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from ..channels.log import LogItem
    from ..channels.position import GapReason, Position, Positions
    from ..channels.selection import Selection
    from ..config import HubConfig
    from ..event import Event
    from .statistics import Counters
    from .subscriber import Subscriber

__all__ = ["Feeds"]

_log = logging.getLogger("heliograph.hub")

# A flush pass lets the loop do other things after this many writes: about a millisecond.
# A feed counts as some of them, for what is encoded for it.
_WRITES_BETWEEN_YIELDS = 256
_WRITES_FOR_A_FEED = 4

# How exactly a heartbeat is kept: a tenth of it, but no more often than needed.
_TICKS_PER_HEARTBEAT = 10
_TICK_SECONDS_AT_MOST = 1.0


class _Audience:
    """A feed and the subscribers that follow it."""

    __slots__ = ("feed", "quiet_since", "subscribers")

    def __init__(self, feed: Feed, now: float) -> None:
        self.feed = feed
        self.subscribers: dict[Subscriber, None] = {}
        self.quiet_since = now


class Feeds:
    """
    Feeds and their subscribers, by selection.

    Told by the channel table what happens in channels (:class:`.ChannelEvents`), and by
    subscribers when they have left (:class:`.Observer`).

    Args:
        config: Limits and timings.
        counters: Counts entries, gaps, and subscribers dropped for their lag.
    """

    def __init__(self, config: HubConfig, counters: Counters) -> None:
        self._config = config
        self._counters = counters
        self._held = HeldBytes()
        self._budget = LagBudget(config.max_lag_total_bytes, self._held, self._drop_lagging)
        # Those that are served, and do not follow a feed yet.
        self._joining: dict[Subscriber, None] = {}
        self._audiences: dict[Selection, _Audience] = {}
        self._audiences_of: dict[str, set[_Audience]] = {}
        # Audiences with something to send, in the order in which it came.
        self._dirty: dict[_Audience, None] = {}
        self._something_dirty = asyncio.Event()
        self._writes = 0

    def __len__(self) -> int:
        return len(self._audiences)

    # Subscribers in and out.

    def expect(self, subscriber: Subscriber) -> None:
        """
        Break the silence of a subscriber that joins, and count what it holds.

        Args:
            subscriber: Has begun.
        """
        self._joining[subscriber] = None

    def join(self, subscriber: Subscriber, heads: Positions) -> None:
        """
        Send to a subscriber from now on.

        Args:
            subscriber: Has been given everything up to the heads.
            heads: Of the logs of its channels. Kept and moved from now on.
        """
        selection = subscriber.selection
        audience = self._audiences.get(selection)
        if audience is None:
            feed = Feed(heads, self._held, selection=selection)
            audience = _Audience(feed, asyncio.get_running_loop().time())
            self._audiences[selection] = audience
            for name in selection.channels:
                self._audiences_of.setdefault(name, set()).add(audience)
        self._joining.pop(subscriber, None)
        audience.subscribers[subscriber] = None
        subscriber.follow(audience.feed)

    def on_left(self, subscriber: Subscriber) -> None:
        """Send to a subscriber no more."""
        self._joining.pop(subscriber, None)
        if subscriber.feed is None:
            return
        selection = subscriber.selection
        audience = self._audiences[selection]
        del audience.subscribers[subscriber]
        if audience.subscribers:
            return
        del self._audiences[selection]
        self._dirty.pop(audience, None)
        for name in selection.channels:
            self._audiences_of[name].discard(audience)
            if not self._audiences_of[name]:
                del self._audiences_of[name]

    # What happens in channels. See ChannelEvents.

    def on_item(self, channel: str, item: LogItem) -> None:
        """Carry a channel's next entry in all of its feeds."""
        self._counters.entries += 1
        self._carry(self._feeds_of(channel), lambda feed: feed.append(item))

    def on_gap(self, channel: str, reason: GapReason, go_on: Position) -> None:
        """Announce in all feeds of a channel that entries are missing."""
        _log.warning(
            "channel %r: events before %s-%d are missing (%s)",
            channel,
            go_on.epoch,
            go_on.offset + 1,
            reason,
        )
        audiences = self._feeds_of(channel)
        self._counters.gaps += len(audiences)
        self._carry(audiences, lambda feed: feed.announce_gap(channel, reason, go_on))

    def on_renamed(self, channel: str, position: Position) -> None:
        """Send all feeds of a channel their position in its new epoch."""
        self._carry(self._feeds_of(channel), lambda feed: feed.rename(channel, position))

    def on_passing(self, channel: str, event: Event) -> None:
        """
        Carry an event that has no position in its channel in all of its feeds.

        Its id is not sent: clients could not resume by it.
        """
        block = encode_body(event)
        if len(block) > self._config.max_event_bytes:
            _log.warning("channel %r: skipped an event of %d bytes", channel, len(block))
            return
        self._counters.entries += 1
        self._carry(self._feeds_of(channel), lambda feed: feed.append_block(block))

    # The loops.

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
                except Exception:  # noqa: BLE001 - logged; see the module
                    _log.exception("cannot send to the streams of a feed")

    async def beat_for_ever(self, silence_seconds: float) -> None:
        """
        Break the silence of streams that have been quiet, until cancelled.

        Args:
            silence_seconds: For how long, give or take a tenth.
        """
        loop = asyncio.get_running_loop()
        tick = min(silence_seconds / _TICKS_PER_HEARTBEAT, _TICK_SECONDS_AT_MOST)
        while True:
            await asyncio.sleep(tick)
            try:
                # One tick early is in time; one tick late is not.
                self._beat(loop.time(), silence_seconds - tick)
            except Exception:  # noqa: BLE001 - logged; see the module
                _log.exception("cannot send heartbeats, trying again")

    async def bound_lag_for_ever(self, look_seconds: float) -> None:
        """
        Drop clients while too much is held for all that are behind, until cancelled.

        Args:
            look_seconds: Between two looks.
        """
        while True:
            await asyncio.sleep(look_seconds)
            try:
                self.bound_lag()
            except Exception:  # noqa: BLE001 - logged; see the module
                _log.exception("cannot look at what is held for clients, trying again")

    def bound_lag(self) -> None:
        """Look once at what is held for those that are behind. See :class:`.LagBudget`."""
        self._budget.look(self._served())

    def _served(self) -> Iterator[Subscriber]:
        yield from tuple(self._joining)
        for audience in tuple(self._audiences.values()):
            yield from tuple(audience.subscribers)

    def _beat(self, now: float, silence_seconds: float) -> None:
        quiet = [
            audience
            for audience in self._audiences.values()
            if now - audience.quiet_since >= silence_seconds
        ]
        self._carry(quiet, lambda feed: feed.append_block(HEARTBEAT))
        for subscriber in tuple(self._joining):
            subscriber.beat(now, silence_seconds)

    def _feeds_of(self, channel: str) -> Collection[_Audience]:
        # A copy: an audience whose feed has a fault loses its subscribers, and leaves.
        return tuple(self._audiences_of.get(channel, ()))

    def _carry(
        self, audiences: Iterable[_Audience], append: Callable[[Feed], None]
    ) -> None:
        for audience in audiences:
            try:
                append(audience.feed)
            except Exception:  # noqa: BLE001 - logged; one feed's fault must not reach others
                _log.exception("cannot carry an event in a feed: its streams are ended")
                for subscriber in tuple(audience.subscribers):
                    subscriber.drop()
            else:
                self._dirty[audience] = None
        if self._dirty:
            self._something_dirty.set()

    async def _flush(self, audience: _Audience) -> None:
        audience.quiet_since = asyncio.get_running_loop().time()
        self._writes += _WRITES_FOR_A_FEED
        max_lag_bytes = self._config.max_lag_bytes
        for subscriber in tuple(audience.subscribers):
            # One that has left while the pass yielded writes nothing.
            if subscriber.flush() > max_lag_bytes:
                self._drop_lagging(subscriber)
            self._writes += 1
            if self._writes >= _WRITES_BETWEEN_YIELDS:
                self._writes = 0
                await asyncio.sleep(0)
        audience.feed.trim()

    def _drop_lagging(self, subscriber: Subscriber) -> None:
        self._counters.lagging_disconnected += 1
        subscriber.drop()
