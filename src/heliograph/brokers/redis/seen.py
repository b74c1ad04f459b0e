"""
The last position that a process knows of each channel.

The scripts compare it with what Redis holds now. That is how data loss is noticed: after a
failover or a restored snapshot the entry is missing, or another one has its offset.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ...channels.position import Position
    from .values import Stored

__all__ = ["LastSeen", "Seen"]

# Channels of which the last known position is kept. A channel that is pushed out only loses
# the comparison, until it is used again.
_MAX_CHANNELS = 10_000


class Seen(NamedTuple):
    """
    A known position, and what identifies the entry there.

    Args:
        position: In the channel.
        token: Of the entry at that position; ``""`` if it is unknown or no longer held.
        at: When that entry was published, as Redis wrote it; without an entry, the time of
            the read.
    """

    position: Position
    token: str
    at: str

    def is_outlived_by(self, stored: Stored) -> bool:
        """
        Return whether an entry at or before this position replaces one that was there.

        Then Redis has returned to an older state, and assigns offsets a second time.

        Args:
            stored: The entry and its token.
        """
        entry, token = stored
        try:
            later = entry.published_at > float(self.at)
        except ValueError:
            later = True  # somebody else has written the time
        return later or (entry.position == self.position and token != self.token)


class LastSeen:
    """The last known position of each channel, for the channels used most recently."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, Seen] = OrderedDict()

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of which a position is known, least recently used first."""
        return tuple(self._seen)

    def get(self, channel: str) -> Seen | None:
        """
        Return the last known position of a channel.

        Args:
            channel: Any name.
        """
        return self._seen.get(channel)

    def add(self, channel: str, seen: Seen) -> None:
        """
        Remember a position, unless a later one of the same life is known.

        Args:
            channel: Any name.
            seen: The position.
        """
        if not seen.position.offset:
            # There is no entry to lose; and channels that clients merely ask for must not
            # push out those with entries.
            return
        known = self._seen.get(channel)
        if (
            known is None
            or known.position.epoch != seen.position.epoch
            or known.position.offset < seen.position.offset
        ):
            self._seen[channel] = seen
        self._seen.move_to_end(channel)
        while len(self._seen) > _MAX_CHANNELS:
            self._seen.popitem(last=False)
