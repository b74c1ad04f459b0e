"""
What a flush pass does: writes that cost little beside themselves, and rests between passes.

**Together.** In almost every pass almost all clients of a feed are at the same block, and
none of them is paused. They are given the same bytes, so their cursors are moved as one,
and what each of them costs beside its write is a few look-ups.

**Rests.** A pass costs the same whatever it brings, and while it writes all other threads
of the process wait for the interpreter's lock. When events come faster than passes, one
pass after the other would leave them next to nothing: a view that publishes would wait for
a pass at each of its system calls. So the loop rests after a pass that has brought a feed
several events, and the next pass brings more. Passes that keep up with their events bring
one or two in each, and never rest.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..logs import Logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..channels.cursor import Cursor
    from ..channels.feed import Feed
    from .sinks import Sink
    from .subscriber import Subscriber

__all__ = ["Pacing", "flush_together"]

_log = Logger("heliograph.hub")

# A rest is half of what the pass has cost for each event beyond these. Events that come
# just as fast as passes bring two in one now and then, and a rest would keep them late. If
# this were more, four threads that wait for their publishes would never get a rest.
_EVENTS_WITHOUT_REST = 2
_COSTS_PER_EVENT = 0.5

# The longest rest: so many times what the pass has cost, which leaves seven eighths of the
# interpreter to others, and so many seconds, which is all that an event waits for it: seven
# passes over a thousand streams. If it were less, a view that publishes to them would lose
# more than a fifth of its rate, and its events would come no sooner.
_COSTS_AT_MOST = 7
_SECONDS_AT_MOST = 0.07

# Larger writes cost as much as their bytes: there is nothing to be gained by waiting for
# more of them, and clients have a bound on what they may lag behind.
_BYTES_ENOUGH = 32 * 1024


def flush_together(feed: Feed, subscribers: Sequence[Subscriber]) -> list[Subscriber]:
    """
    Write what is behind the cursors to those subscribers that are given the same bytes.

    Args:
        feed: The feed that they follow.
        subscribers: Some of its subscribers. Those that have left are passed over.

    Returns:
        The others, to be flushed one by one.
    """
    together: dict[Subscriber, Sink] = {}
    cursors: list[Cursor] = []
    others: list[Subscriber] = []
    block: int | None = None
    for subscriber in subscribers:
        cursor, sink = subscriber.cursor, subscriber.sink
        if cursor is None or sink is None:
            continue
        try:
            is_alone = (
                sink.paused
                or not cursor.is_settled
                or (block is not None and cursor.block != block)
                or not subscriber.is_flushed_with_others
            )
        except Exception:  # noqa: BLE001 - its own flush meets it again, and logs it
            is_alone = True
        if is_alone:
            others.append(subscriber)
        else:
            block = cursor.block
            cursors.append(cursor)
            together[subscriber] = sink
    if not cursors:
        return others
    try:
        data = feed.take_together(cursors)
    except Exception:  # noqa: BLE001 - as above
        return [*together, *others]
    if data:
        for subscriber, sink in together.items():
            # Here and not in a method of the subscriber: a call costs as much as the rest.
            try:
                sink.write(data)
            except Exception:  # noqa: BLE001 - logged; see the module `subscriber`
                _log.exception("cannot send to a stream of %s", subscriber.channels)
                subscriber.drop()
    return others


class Pacing:
    """
    How long to rest after flushing some feeds, each once.

    Attributes:
        rest_seconds: How long, as far as they have been flushed.
    """

    __slots__ = ("_began", "_excess", "rest_seconds")

    def __init__(self) -> None:
        self.rest_seconds = 0.0
        self._began = 0.0
        self._excess = 0

    def begin(self, events: int, size: int) -> None:
        """
        Begin to flush a feed.

        Args:
            events: How many blocks were appended since it was flushed before.
            size: How many bytes they have.
        """
        self._excess = 0 if size > _BYTES_ENOUGH else events - _EVENTS_WITHOUT_REST
        if self._excess > 0:
            # Of this thread: what others do meanwhile is not what the pass costs.
            self._began = time.thread_time()

    def end(self) -> None:
        """End what :meth:`begin` has begun."""
        if self._excess > 0:
            cost = time.thread_time() - self._began
            costs = min(self._excess * _COSTS_PER_EVENT, _COSTS_AT_MOST)
            self.rest_seconds = min(self.rest_seconds + cost * costs, _SECONDS_AT_MOST)
            self._excess = 0
