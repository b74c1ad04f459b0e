"""
The feeds of all selections that have subscribers, and the loops that send.

In a flush pass every subscriber of a feed writes the blocks after its cursor. A pass yields
to the loop at intervals; entries that arrive meanwhile wait for the next pass, so under
load writes get larger instead of more frequent (:mod:`.flushing`). No pass waits for a
client: one whose sink is paused is skipped until the sink resumes. It is dropped when it is
too far behind, or when too much is held for all clients that are behind.

Each loop serves all clients. So a fault of one client or one feed is logged and ends its
streams, and the loop continues.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .. import native
from ..channels.blocks import HEARTBEAT
from ..channels.cursor import HeldBytes
from ..channels.feed import Feed
from ..logs import Logger
from ..wire.encoder import encode_body
from .flushing import Pacing, flush_together
from .lag import LagBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from ..channels.log import LogItem
    from ..channels.opening import Opening
    from ..channels.position import GapReason, Position, Positions
    from ..channels.selection import Selection
    from ..config import HubConfig
    from ..event import Event
    from .statistics import Counters
    from .subscriber import Subscriber

__all__ = ["Feeds"]

_log = Logger("heliograph.hub")

# A flush pass yields to the loop after this many writes: about a millisecond, since an
# application may have callbacks of its own there. In a thread of ours it has none, and each
# yield gives the interpreter away: a thread that computes keeps it for five milliseconds.
_WRITES_BETWEEN_YIELDS = 256
_WRITES_BETWEEN_YIELDS_IN_OUR_THREAD = 1024
# Encoding for a feed costs as much as some writes.
_WRITES_FOR_A_FEED = 4

# With cursors at more blocks than this, those at the same one are flushed one after the
# other: what is joined is kept for a few of them only (:mod:`heliograph.channels.joined`).
_BLOCKS_IN_ANY_ORDER = 8

# A look at what is held for a client costs as much as half a write.
_LOOKS_BETWEEN_YIELDS = 1024

# Heartbeats are exact to a tenth of their interval, and to a second if that is longer.
_TICKS_PER_HEARTBEAT = 10
_TICK_SECONDS_AT_MOST = 1.0


class _Audience:
    """A feed and the subscribers that follow it."""

    __slots__ = ("_flushed", "feed", "is_over", "quiet_since", "subscribers")

    def __init__(self, feed: Feed, now: float) -> None:
        self.feed = feed
        # The number of the block after the last one of which a pass has begun, and how many
        # bytes were carried before it.
        self._flushed = feed.end, feed.carried_bytes
        # Whether all of its channels have ended.
        self.is_over = False
        self.subscribers: dict[Subscriber, None] = {}
        self.quiet_since = now

    def take_fresh(self) -> tuple[int, int]:
        """Return how many blocks were appended since the last call, and their bytes."""
        blocks, size = self._flushed
        self._flushed = self.feed.end, self.feed.carried_bytes
        return self._flushed[0] - blocks, self._flushed[1] - size

    def in_order(self) -> Sequence[Subscriber]:
        """Return the subscribers in the order in which they are flushed."""
        if self.feed.cursor_blocks <= _BLOCKS_IN_ANY_ORDER:
            return tuple(self.subscribers)
        return sorted(self.subscribers, key=_block_of)


def _block_of(subscriber: Subscriber) -> int:
    cursor = subscriber.cursor
    return 0 if cursor is None else cursor.block


class Feeds:
    """
    Feeds and their subscribers, by selection.

    The channel table calls this object when something happens in a channel
    (:class:`.ChannelEvents`), and each subscriber when it has left (:class:`.Observer`).

    Args:
        config: Limits and timings.
        opening: How clients are told their position.
        counters: Counts entries, gaps, and subscribers dropped for their lag.
    """

    def __init__(self, config: HubConfig, opening: Opening, counters: Counters) -> None:
        self._config = config
        self._opening = opening
        self._counters = counters
        self._held = HeldBytes()
        self._budget = LagBudget(config.max_lag_total_bytes, self._held, self._drop_lagging)
        # Subscribers that are served and do not follow a feed yet.
        self._joining: dict[Subscriber, None] = {}
        self._audiences: dict[Selection, _Audience] = {}
        self._audiences_of: dict[str, set[_Audience]] = {}
        # Audiences with blocks to send, in the order in which the first block was appended.
        self._dirty: dict[_Audience, None] = {}
        self._something_dirty = asyncio.Event()
        self._writes = 0
        self._writes_between_yields = (
            _WRITES_BETWEEN_YIELDS_IN_OUR_THREAD
            if native.is_ours()
            else _WRITES_BETWEEN_YIELDS
        )

    def __len__(self) -> int:
        return len(self._audiences)

    # Subscribers in and out.

    def expect(self, subscriber: Subscriber) -> None:
        """
        Send heartbeats to a subscriber while it joins, and count what is held for it.

        Args:
            subscriber: A subscriber that has begun.
        """
        self._joining[subscriber] = None

    def join(self, subscriber: Subscriber, heads: Positions) -> None:
        """
        Have a subscriber follow the feed of its selection, which is made if there is none.

        Args:
            subscriber: A subscriber that was given everything up to the heads.
            heads: The heads of the logs of its channels. A new feed keeps this object and
                changes it.
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
        """Forget a subscriber, and its feed if it was the last one of it."""
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
        """Append a channel's next entry to all feeds of the channel."""
        self._counters.entries += 1
        self._carry(self._feeds_of(channel), lambda feed: feed.append(item))

    def on_end(self, channel: str, have_ended: Callable[[Iterable[str]], bool]) -> None:
        """Finish the streams whose channels have all ended, when all has been sent."""
        for audience in self._feeds_of(channel):
            audience.is_over = have_ended(audience.feed.channels)

    def on_gap(self, channel: str, reason: GapReason, go_on: Position) -> None:
        """Append a gap event to all feeds of a channel."""
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
        """Append the position in the new epoch of a channel to all feeds of the channel."""
        self._carry(
            self._feeds_of(channel),
            lambda feed: feed.rename(channel, position, self._opening),
        )

    def on_passing(self, channel: str, event: Event) -> None:
        """
        Append an event without a position to all feeds of its channel.

        The event's id is not sent: a client could not resume with it.
        """
        block = encode_body(event)
        if len(block) > self._config.max_event_bytes:
            _log.warning("channel %r: skipped an event of %d bytes", channel, len(block))
            return
        self._counters.entries += 1
        self._carry(self._feeds_of(channel), lambda feed: feed.append_block(block))

    # The loops.

    async def flush_for_ever(self) -> None:
        """Flush each audience that has blocks to send, until cancelled."""
        while True:
            await self._something_dirty.wait()
            self._something_dirty.clear()
            while self._dirty:
                if rest_seconds := await self._flush_dirty():
                    await asyncio.sleep(rest_seconds)

    async def beat_for_ever(self, silence_seconds: float) -> None:
        """
        Send a heartbeat to streams on which nothing was sent for a while, until cancelled.

        Args:
            silence_seconds: How long; exact to a tenth.
        """
        loop = asyncio.get_running_loop()
        tick = min(silence_seconds / _TICKS_PER_HEARTBEAT, _TICK_SECONDS_AT_MOST)
        while True:
            await asyncio.sleep(tick)
            try:
                # A heartbeat may be one tick early, but not late.
                self._beat(loop.time(), silence_seconds - tick)
            except Exception:  # noqa: BLE001 - logged; see the module
                _log.exception("cannot send heartbeats, trying again")

    async def bound_lag_for_ever(self, look_seconds: float) -> None:
        """
        Drop late clients whenever too much is held for all of them, until cancelled.

        Args:
            look_seconds: The time between two looks.
        """
        while True:
            await asyncio.sleep(look_seconds)
            try:
                await self.bound_lag()
            except Exception:  # noqa: BLE001 - logged; see the module
                _log.exception("cannot look at what is held for clients, trying again")

    async def bound_lag(self) -> None:
        """Look once at what is held for late clients. See :class:`.LagBudget`."""
        unsent: dict[Subscriber, int] = {}
        for count, subscriber in enumerate(tuple(self._served()), 1):
            if size := self._budget.unsent(subscriber):
                unsent[subscriber] = size
            if count % _LOOKS_BETWEEN_YIELDS == 0:
                await asyncio.sleep(0)
        self._budget.judge(unsent)

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

    async def _flush_dirty(self) -> float:
        """Flush each dirty audience once; return how many seconds to rest after that."""
        dirty, self._dirty = self._dirty, {}
        pacing = Pacing()
        for audience in dirty:
            # What has come while others were flushed is sent now.
            self._dirty.pop(audience, None)
            try:
                pacing.begin(*audience.take_fresh())
                await self._flush(audience)
            except Exception:  # noqa: BLE001 - logged; see the module
                _log.exception("cannot send to the streams of a feed")
            pacing.end()
        return pacing.rest_seconds

    async def _flush(self, audience: _Audience) -> None:
        audience.quiet_since = asyncio.get_running_loop().time()
        self._writes += _WRITES_FOR_A_FEED
        feed, subscribers = audience.feed, audience.in_order()
        begun = 0
        while begun < len(subscribers):
            end = begun + max(1, self._writes_between_yields - self._writes)
            part = subscribers[begun:end]
            self._flush_part(feed, part)
            begun += len(part)
            self._writes += len(part)
            if self._writes >= self._writes_between_yields:
                self._writes = 0
                await asyncio.sleep(0)
        feed.trim()
        if audience.is_over:
            for subscriber in tuple(audience.subscribers):
                subscriber.finish("its channels have ended")

    def _flush_part(self, feed: Feed, subscribers: Sequence[Subscriber]) -> None:
        if len(subscribers) > 1:
            subscribers = flush_together(feed, subscribers)
        for subscriber in subscribers:
            # One that has left while the pass yielded writes nothing.
            if subscriber.flush() > self._config.max_lag_bytes:
                self._drop_lagging(subscriber)

    def _drop_lagging(self, subscriber: Subscriber) -> None:
        self._counters.lagging_disconnected += 1
        subscriber.drop("the client lags too far behind")
