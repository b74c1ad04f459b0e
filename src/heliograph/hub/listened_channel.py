"""A channel that this process listens to, or is about to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..channels.entry import Entry
    from ..channels.log import ChannelLog
    from .channel_events import ChannelEvents

__all__ = ["ListenedChannel"]


class ListenedChannel:
    """
    A channel that this process listens to, or is about to.

    Attributes:
        name: The name of the channel.
        events: Called when something happens in the channel.
        subscribers: How many streams have the channel in their selection.
        log: The recent entries; :obj:`None` until the broker has returned the head.
        early: Entries that arrived before the head.
        has_ended: Whether the channel has ended, as far as this process knows.
        has_retained: Whether the channel may have retained entries.
        ready: A future for the log; :obj:`None` if no task waits for it.
        lingers_for: The address of the last subscriber, while the channel lingers.
        lingers_until: When the channel is dropped if nobody subscribes again, in the loop's
            time.
    """

    __slots__ = (
        "_moved",
        "early",
        "events",
        "has_ended",
        "has_retained",
        "lingers_for",
        "lingers_until",
        "log",
        "name",
        "ready",
        "subscribers",
    )

    def __init__(self, name: str, events: ChannelEvents) -> None:
        self.name = name
        self.events = events
        self.subscribers = 0
        self.log: ChannelLog | None = None
        self._moved: asyncio.Event | None = None
        self.early: list[Entry] = []
        self.has_ended = False
        self.has_retained = False
        self.ready: asyncio.Future[ChannelLog] | None = None
        self.lingers_for: str | None = None
        self.lingers_until = 0.0

    @property
    def moved(self) -> asyncio.Event:
        """An event that is set when the log's head moves next, and replaced by another."""
        if self._moved is None:
            self._moved = asyncio.Event()
        return self._moved

    def on_moved(self) -> None:
        """Set the event of :attr:`moved`, if a task waits for it."""
        if self._moved is not None:
            self._moved.set()
            self._moved = None
