"""Log lines that others can cause, as often as they like, are written once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

__all__ = ["OnceLog"]

# Channels of which that is remembered.
_CHANNELS = 1_000


class OnceLog:
    """
    Writes the first line about each of some channels, and none about the others.

    Args:
        log: Where the lines are written.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._channels: set[tuple[str, str]] = set()

    def skipped(self, channel: str, kind: str, detail: str) -> None:
        """
        Log that something of a channel was skipped, if this is the first of its kind.

        Args:
            channel: The channel's name.
            kind: What was skipped.
            detail: Why, which may differ from one to the next.
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
