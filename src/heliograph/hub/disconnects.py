"""What was disconnected while requests were under way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Disconnects"]

# A request that takes so long that this is not enough has its client reconnect.
_REMEMBERED = 10_000


class Disconnects:
    """
    The channels that were disconnected last, and when.

    Whoever disconnects a channel has withdrawn a permission before. A request that was
    under way may have been let in by what was true until then, in any hook or middleware,
    so what counts is the moment in which it arrived. Moments are those of
    :func:`time.monotonic_ns`, which all threads of a machine share.

    Attributes:
        latest: When the last one was noted. Grows with each.
    """

    def __init__(self) -> None:
        self.latest = self._forgotten = time.monotonic_ns()
        # Channel -> when it was disconnected, the oldest first.
        self._last: dict[str, int] = {}

    def know_since(self, moment: int) -> None:
        """
        Remember that everything since a moment before this object was made is noted.

        Args:
            moment: In nanoseconds.
        """
        self._forgotten = min(self._forgotten, moment)

    def note(self, channel: str) -> None:
        """
        Remember that a channel is disconnected now.

        Args:
            channel: Its name.
        """
        # Later than any request that has arrived, however coarse the clock.
        self.latest = max(self.latest, time.monotonic_ns()) + 1
        self._last.pop(channel, None)
        self._last[channel] = self.latest
        if len(self._last) > _REMEMBERED:
            self._forgotten = self._last.pop(next(iter(self._last)))

    def forget(self) -> None:
        """Count every channel as disconnected now: commands may have been missed."""
        self.latest = self._forgotten = max(self.latest, time.monotonic_ns()) + 1
        self._last.clear()

    def since(self, moment: int, channels: Iterable[str]) -> bool:
        """
        Return whether one of some channels was, or may have been, disconnected since.

        Args:
            moment: In nanoseconds.
            channels: Their names.
        """
        return moment < self._forgotten or any(
            self._last.get(name, 0) > moment for name in channels
        )
