"""
What is held for all clients that are behind, in total, and who goes if it is too much.

A client is late if it has not taken, from one look to the next, what there was to take at
the first. So nobody is disconnected for what is on its way: while a large event is being
sent, all clients are behind, and all together by more than any budget.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..channels.feed import Cursor, HeldBytes
    from .subscriber import Subscriber

__all__ = ["LagBudget"]

_log = logging.getLogger("heliograph.hub")


class _Progress(NamedTuple):
    """
    How far a client has come.

    ``behind`` is how many bytes it has yet to take. ``taken`` and ``due`` grow, and can be
    compared as long as ``cursor`` is the same: it has taken what was due at a look when
    its ``taken`` has reached what its ``due`` was then.
    """

    cursor: Cursor | None
    behind: int
    taken: float
    due: float


class LagBudget:
    """
    A bound on what a process holds for clients that are behind.

    Args:
        at_most: The bound, in bytes.
        held: What all feeds hold.
        drop: Called with a subscriber that has to be dropped.
    """

    def __init__(
        self,
        at_most: int,
        held: HeldBytes,
        drop: Callable[[Subscriber], None],
    ) -> None:
        self._at_most = at_most
        self._held = held
        self._drop = drop
        # Of the last look, if too much was held then.
        self._before: dict[Subscriber, _Progress] = {}

    def look(self, subscribers: Iterable[Subscriber]) -> None:
        """
        Add up what is held, and drop those who are late and farthest behind.

        Args:
            subscribers: All that are served, whether they follow a feed or not.
        """
        unsent = {each: size for each in tuple(subscribers) if (size := self._unsent(each))}
        if self._held.bytes + sum(unsent.values()) <= self._at_most:
            self._before.clear()
            return
        before, self._before = self._before, {}
        late: list[tuple[int, Subscriber]] = []
        for subscriber, size in unsent.items():
            progress = self._before[subscriber] = self._progress(subscriber, size)
            earlier = before.get(subscriber)
            if (
                earlier is not None
                and earlier.cursor is progress.cursor
                and progress.taken < earlier.due
            ):
                late.append((progress.behind, subscriber))
        late.sort(key=lambda one: one[0], reverse=True)
        # What is on its way to the others is not held for long.
        theirs = sum(unsent[subscriber] for _, subscriber in late)
        for _, subscriber in late:
            if self._held.bytes + theirs <= self._at_most:
                break
            theirs -= unsent[subscriber]
            self._drop(subscriber)

    def _unsent(self, subscriber: Subscriber) -> int:
        try:
            return subscriber.unsent_bytes
        except Exception:  # noqa: BLE001 - logged; the reason follows
            # One sink's fault must not end the look at all others.
            _log.exception("cannot look at a stream of %s", subscriber.channels)
            self._drop(subscriber)
            return 0

    def _progress(self, subscriber: Subscriber, unsent: int) -> _Progress:
        cursor, feed = subscriber.cursor, subscriber.feed
        if cursor is None or feed is None:
            # It is given the next page when it has taken the last.
            wrote_at = subscriber.quiet_since
            return _Progress(None, unsent, wrote_at, math.nextafter(wrote_at, math.inf))
        lag = feed.lag_bytes(cursor)
        carried = feed.carried_bytes
        return _Progress(cursor, unsent + lag, carried - lag - unsent, carried)
