"""The events of some channels, for a program that iterates in a thread."""

from __future__ import annotations

import os
import weakref
from collections import deque
from typing import TYPE_CHECKING

from .loop import post, run

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ...event import Event
    from ..subscription import Subscription

__all__ = ["ThreadSubscription"]


class ThreadSubscription:
    """
    An iterator over events, as a client would see them, in order and once.

    Whatever is published after it was made is part of the iteration. That ends when nothing
    has come for ``timeout`` seconds, when all channels have ended or one is disconnected,
    when the server stops, and in a forked child. It may be used as a block, which releases
    its slot at the end; otherwise that is done when the iteration ends, and when the object
    is collected.

    Args:
        subscription: Of the hub, on its loop.
        timeout: Seconds of silence after which the iteration ends; :obj:`None` for no
            limit.
    """

    def __init__(self, subscription: Subscription, timeout: float | None) -> None:
        self._timeout = timeout
        self._process = os.getpid()
        self._events: deque[Event] = deque()
        self._subscription = subscription
        self._last_event_id = subscription.last_event_id
        self._leave = weakref.finalize(self, post, subscription.leave)
        self._leave.atexit = False

    @property
    def last_event_id(self) -> str:
        """The id with which to subscribe again, to resume after the last event returned."""
        return self._last_event_id

    @property
    def opening_id(self) -> str:
        """The id of the position at which the iteration began, before its first event."""
        return self._subscription.opening_id

    def close(self) -> None:
        """Release the slot. Iterating is over. Closing twice is the same as once."""
        self._events.clear()
        self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        """
        Return the next event.

        Raises:
            TooManySubscribersError: The program was too slow, and its slot was taken.
        """
        if not self._events:
            if not self._leave.alive or self._process != os.getpid():
                raise StopIteration
            # Many at a time, so that a burst costs one change of threads.
            self._events += run(self._subscription.take(self._timeout), None)
        try:
            event = self._events.popleft()
        except IndexError:  # nothing has come, or another thread has closed it
            self.close()
            raise StopIteration from None
        self._last_event_id = event.id or self._last_event_id
        return event
