"""A log for lines that others can cause as often as they like: each is written once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..logs import Logger

__all__ = ["OnceLog"]

# Number of channels remembered, so that the memory is bounded. After that nothing more is
# logged: forgetting the oldest would log for ever.
_CHANNELS = 1_000


class OnceLog:
    """
    Logs the first line of each kind about a channel, for a bounded number of channels.

    Args:
        log: The logger for the lines.
    """

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._channels: set[tuple[str, str]] = set()

    def skipped(self, channel: str, kind: str, detail: str) -> None:
        """
        Log that an item of a channel was skipped, if it is the first of its kind.

        Args:
            channel: The channel's name.
            kind: What was skipped, such as ``"a message"``.
            detail: Why it was skipped. Lines that differ only in this are of one kind.
        """
        key = channel, kind
        if key in self._channels or len(self._channels) > _CHANNELS:
            return
        self._channels.add(key)
        if len(self._channels) > _CHANNELS:
            self._log.warning("skipped %s in more channels than are logged", kind)
            return
        self._log.warning(
            "channel %r: skipped %s: %.200s; further ones are not logged",
            channel,
            kind,
            detail,
        )
