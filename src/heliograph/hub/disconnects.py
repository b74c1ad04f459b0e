"""Which channels were disconnected, and when, for requests that were in progress then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Disconnects"]

# A request that takes longer than so many disconnects is treated as revoked: its client
# reconnects.
_REMEMBERED = 10_000


class Disconnects:
    """
    The channels that were disconnected last, and when.

    An application withdraws a permission, and then disconnects the channel. A request in
    progress may have been authorised before that, in any hook or middleware, so what counts
    is when it arrived. Times are results of :func:`time.monotonic_ns`, which is the same
    clock for all threads and processes of a machine.

    Attributes:
        latest: The time of the last disconnect. Each is later than the one before.
    """

    def __init__(self) -> None:
        self.latest = self._forgotten = time.monotonic_ns()
        # Channel -> when it was disconnected, the oldest first.
        self._last: dict[str, int] = {}

    def know_since(self, moment: int) -> None:
        """
        Declare that every disconnect since a time will be noted, although that is past.

        Args:
            moment: The time, in nanoseconds; before this object was made.
        """
        self._forgotten = min(self._forgotten, moment)

    def note(self, channel: str) -> None:
        """
        Record that a channel is disconnected now.

        Args:
            channel: The name of the channel.
        """
        # Later than the arrival of every request until now, however coarse the clock is.
        self.latest = max(self.latest, time.monotonic_ns()) + 1
        self._last.pop(channel, None)
        self._last[channel] = self.latest
        if len(self._last) > _REMEMBERED:
            self._forgotten = self._last.pop(next(iter(self._last)))

    def forget(self) -> None:
        """Treat every channel as disconnected now: commands may have been missed."""
        self.latest = self._forgotten = max(self.latest, time.monotonic_ns()) + 1
        self._last.clear()

    def since(self, moment: int, channels: Iterable[str]) -> bool:
        """
        Return whether a channel was, or may have been, disconnected after a time.

        Args:
            moment: The time, in nanoseconds.
            channels: The names of channels, any of which counts.
        """
        return moment < self._forgotten or any(
            self._last.get(name, 0) > moment for name in channels
        )
