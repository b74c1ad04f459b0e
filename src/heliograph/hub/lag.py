"""
A bound on the bytes that a process holds for all clients that are behind, in total.

Two looks are compared. A client is late if, at the second, it has not taken all that it had
yet to take at the first. Only late clients are dropped: while a large event is being sent
all clients are behind, and together by more than any bound.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from ..logs import Logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..channels.cursor import Cursor, HeldBytes
    from .subscriber import Subscriber

__all__ = ["LagBudget"]

_log = Logger("heliograph.hub")


class _Progress(NamedTuple):
    """
    What a client has taken, at one look.

    ``behind`` is how many bytes it has yet to take. ``taken`` and ``due`` never decrease,
    and can be compared between looks at which ``cursor`` is the same object: the client has
    taken what was due at an earlier look if ``taken`` has reached the ``due`` of that look.
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
        held: The counter of all feeds.
        drop: Called with each subscriber to drop.
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
        # The progress of each client at the last look, if too much was held then.
        self._before: dict[Subscriber, _Progress] = {}

    def look(self, subscribers: Iterable[Subscriber]) -> None:
        """
        Add up what is held, and drop late clients if it is too much.

        Those that are farthest behind are dropped first, and no more than needed.

        Args:
            subscribers: All subscribers that are served, joining or following.
        """
        sizes = ((each, self.unsent(each)) for each in tuple(subscribers))
        self.judge({each: size for each, size in sizes if size})

    def judge(self, unsent: Mapping[Subscriber, int]) -> None:
        """
        Do what :meth:`look` does, with what has been looked at.

        Args:
            unsent: What :meth:`unsent` has returned for all subscribers, without zeros.
        """
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
        # What the other clients have yet to take is not counted: they do take it.
        theirs = sum(unsent[subscriber] for _, subscriber in late)
        for _, subscriber in late:
            if self._held.bytes + theirs <= self._at_most:
                break
            theirs -= unsent[subscriber]
            self._drop(subscriber)

    def unsent(self, subscriber: Subscriber) -> int:
        """
        Return how many bytes are held for a client alone.

        Args:
            subscriber: Of the client. Dropped if it cannot be looked at.
        """
        try:
            return subscriber.unsent_bytes
        except Exception:  # noqa: BLE001 - logged; the reason follows
            # A fault of one sink must not end the look at all others.
            _log.exception("cannot look at a stream of %s", subscriber.channels)
            self._drop(subscriber)
            return 0

    def _progress(self, subscriber: Subscriber, unsent: int) -> _Progress:
        cursor, feed = subscriber.cursor, subscriber.feed
        if cursor is None or feed is None:
            # It joins: the next page is written when it has taken the last one.
            wrote_at = subscriber.quiet_since
            return _Progress(None, unsent, wrote_at, math.nextafter(wrote_at, math.inf))
        lag = feed.lag_bytes(cursor)
        carried = feed.carried_bytes
        return _Progress(cursor, unsent + lag, carried - lag - unsent, carried)
