"""A client of which somebody wants to know how far it has come when it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .subscriber import Subscriber

if TYPE_CHECKING:
    from ..channels.feed import Feed
    from ..channels.position import Positions

__all__ = ["TracedSubscriber"]


class TracedSubscriber(Subscriber):
    """
    A subscriber that keeps the id up to which its client was written to.

    A feed knows the positions at its end only, and drops blocks that all have taken, so
    what a client that is behind has got cannot be computed when it leaves. It is kept with
    each write. A class of its own, so that other subscribers do nothing for it.

    Attributes:
        reached: The id with which the client would resume; :obj:`None` if it has none.
    """

    __slots__ = ("reached",)

    is_flushed_with_others = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.reached = self.last_event_id

    def note(self, positions: Positions) -> None:
        """Keep a position. See :class:`.Subscriber`."""
        self.reached = positions.id

    def follow(self, feed: Feed) -> None:
        """Follow a feed. See :class:`.Subscriber`."""
        super().follow(feed)
        self.reached = feed.id

    def flush(self, *, is_alone: bool = False, even_if_paused: bool = False) -> int:
        """Write what is behind the cursor. See :class:`.Subscriber`."""
        left = super().flush(is_alone=is_alone, even_if_paused=even_if_paused)
        if self.feed is not None and not left:
            self.reached = self.feed.id
        return left
