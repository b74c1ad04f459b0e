"""The counters of a hub, which all of its rooms share, and a snapshot of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["Counters", "HubStatistics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubStatistics:
    """
    What a hub holds and has done. Counters begin with the hub.

    Attributes:
        subscribers: Open streams.
        channels: Channels listened to, those that linger included.
        feeds: Selections that have subscribers.
        published: Events that this process has published.
        entries: Events that have reached this process, its own included.
        gaps: Gap events announced, per stream that begins and per feed.
        lagging_disconnected: Streams ended because they were too far behind.
        refused: Streams refused because a cap was reached.
        broker_available: Whether the broker did what it was last asked for, and new
            entries come from it.
    """

    subscribers: int
    channels: int
    feeds: int
    published: int
    entries: int
    gaps: int
    lagging_disconnected: int
    refused: int
    broker_available: bool


@dataclass(slots=True)
class Counters:
    """
    What a hub has done since it was made. Each room counts what it does itself.

    Attributes:
        published: Events that this process has published.
        entries: Events that have reached this process, its own included.
        gaps: Gap events announced, per stream that begins and per feed.
        lagging_disconnected: Streams ended because they were too far behind.
        refused: Streams refused because a cap was reached.
    """

    published: int = 0
    entries: int = 0
    gaps: int = 0
    lagging_disconnected: int = 0
    refused: int = 0

    def statistics(
        self, *, subscribers: int, channels: int, feeds: int, broker_available: bool
    ) -> HubStatistics:
        """
        Return these counters with what the hub holds now.

        Args:
            subscribers: Open streams.
            channels: Channels listened to.
            feeds: Selections that have subscribers.
            broker_available: Whether the broker is available.
        """
        return HubStatistics(
            subscribers=subscribers,
            channels=channels,
            feeds=feeds,
            broker_available=broker_available,
            **asdict(self),
        )
