"""What was disconnected while clients were being authorised."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Disconnects"]

# An authorizer that takes so long that this is not enough has its client come again.
_REMEMBERED = 10_000


class Disconnects:
    """
    The channels that were disconnected last, and in which order.

    Whoever disconnects a channel has withdrawn a permission before. A client that was
    authorised by what was true until then, and is not served yet, must not be served.

    Attributes:
        count: Grows by one with each. What was counted by another object of this process
            before this one was made is lower, so it counts as forgotten here.
    """

    def __init__(self) -> None:
        self.count = self._forgotten = time.monotonic_ns()
        # The count at which each was disconnected, the oldest first.
        self._last: dict[str, int] = {}

    def note(self, channel: str) -> None:
        """
        Remember that a channel is disconnected now.

        Args:
            channel: Its name.
        """
        self.count += 1
        self._last.pop(channel, None)
        self._last[channel] = self.count
        if len(self._last) > _REMEMBERED:
            self._forgotten = self._last.pop(next(iter(self._last)))

    def forget(self) -> None:
        """Count whatever was before as disconnected: nobody knows what was."""
        self.count += 1
        self._forgotten = self.count
        self._last.clear()

    def since(self, count: int, channels: Iterable[str]) -> bool:
        """
        Say whether one of some channels has been disconnected, or may have been.

        Args:
            count: What :attr:`count` was.
            channels: Their names.
        """
        return count < self._forgotten or any(
            self._last.get(name, 0) > count for name in channels
        )
