"""What happens in a channel, as those are told who handle it: feeds, and control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..channels.log import LogItem
    from ..channels.position import GapReason, Position
    from ..event import Event

__all__ = ["ChannelEvents"]


class ChannelEvents(Protocol):
    """Who is told what happens in a channel, in the step in which its log's head moves."""

    def on_item(self, channel: str, item: LogItem) -> None:
        """
        Take the next entry of a channel.

        Args:
            channel: Its name.
            item: The entry, encoded.
        """
        ...

    def on_end(self, channel: str, have_ended: Callable[[Iterable[str]], bool]) -> None:
        """
        Handle the end of a channel, whose last entry was just taken.

        Args:
            channel: Its name.
            have_ended: Returns whether all of some channels have ended.
        """
        ...

    def on_gap(self, channel: str, reason: GapReason, go_on: Position) -> None:
        """
        Handle a gap: entries of a channel are missing.

        Args:
            channel: Its name.
            reason: Why they are missing.
            go_on: The position just before the next entry.
        """
        ...

    def on_renamed(self, channel: str, position: Position) -> None:
        """
        Handle a new epoch of a channel's head. No entries are missing.

        Args:
            channel: Its name.
            position: The head, in the new epoch.
        """
        ...

    def on_passing(self, channel: str, event: Event) -> None:
        """
        Take an event that has no position in its channel.

        Args:
            channel: Its name.
            event: Any event.
        """
        ...
