"""
The inspection of storage: which channels a broker has, and what it holds of them.

This is a protocol of its own, beside :class:`.base.Broker`: a broker without it works for
everything but the command ``heliograph channels``, which then reports what is missing.

**Nothing is opened.** :meth:`Inspectable.inspect` works on a broker that is not open.
:meth:`.base.Broker.open` is for those who publish and listen: it may create a file, check
rights by writing, start to remove what is too old, and keep channels in use.

**Nothing changes.** Inspecting creates no storage, stores nothing, removes nothing, wakes
nobody, and does not count as using a channel: one that would be forgotten is forgotten.

**Cost.** Storage may be in production and have any number of channels. It is asked in
pages, none of which delays publishers and readers for more than some milliseconds, and a
page is dropped before the next one is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from contextlib import AbstractAsyncContextManager

    from ..channels.entry import Entry
    from ..channels.position import Position

__all__ = ["ChannelSummary", "Inspectable", "Inspection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSummary:
    """
    What storage holds of a channel.

    Args:
        name: The channel's name.
        head: The channel's newest position that readers get.
        events: Number of events in history. Events that are too old count until they are
            removed.
        oldest_at: When the oldest of them was published, in seconds since the epoch of
            Unix; :obj:`None` if there is none, or if that one is damaged.
        retained: Number of retained events.
        size_bytes: About how many bytes the channel takes, by the measure of its storage;
            :obj:`None` if that is unknown.
        has_ended: Whether the event at the head is the end of the channel.
        listeners: Number of processes that listen to the channel. A process counts once,
            however many streams it serves. :obj:`None` if that is unknown.
    """

    name: str
    head: Position
    events: int
    oldest_at: float | None
    retained: int
    size_bytes: int | None
    has_ended: bool
    listeners: int | None


class Inspection(Protocol):
    """
    The open storage of a broker. The module's documentation has the rules.

    All methods raise :class:`~heliograph.errors.BrokerUnavailableError` if storage fails,
    or :class:`~heliograph.errors.ConfigError` if that will not pass.
    """

    def channels(self, prefix: str = "") -> AsyncGenerator[ChannelSummary, None]:
        """
        Yield a summary of each channel that has had an event and is not forgotten.

        Channels of Heliograph itself are left out: those of which the name begins with a
        control character. The others are sorted by name where that is cheap. A channel that
        is used or forgotten meanwhile may be missing. While storage is being reorganised,
        as a cluster that moves slots, a channel may be yielded twice. Damaged channels are
        skipped, and logged.

        Args:
            prefix: Only channels whose names begin with it.
        """
        ...

    async def channel(self, name: str) -> ChannelSummary | None:
        """
        Return the summary of a channel.

        Args:
            name: A valid name.

        Returns:
            The summary; :obj:`None` if the channel has had no event, is forgotten or is
            damaged.
        """
        ...

    async def newest(self, name: str, limit: int) -> Sequence[Entry]:
        """
        Return the newest entries in history, the oldest of them first.

        Args:
            name: A valid name.
            limit: Largest number of entries to look at, at least 1. Damaged ones are
                skipped, and logged.
        """
        ...

    async def processes(self) -> int | None:
        """
        Return how many processes use the storage, to publish or to listen.

        Returns:
            The number as far as storage shows it; :obj:`None` if it is unknown.
        """
        ...


class Inspectable(Protocol):
    """A broker whose storage can be inspected."""

    def inspect(self) -> AbstractAsyncContextManager[Inspection]:
        """
        Return a context in which the storage can be inspected, on the running loop.

        The broker may be open or not, and stays as it is.

        Raises:
            ConfigError: When it is entered: there is no such storage, or storage refuses
                to be read, and would do so again.
            BrokerUnavailableError: When it is entered: storage cannot be reached.
        """
        ...
