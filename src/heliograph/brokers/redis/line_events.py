"""What a line reports: the Protocol between it and whoever knows the channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["LineEvents"]


class LineEvents(Protocol):
    """What is called when something happens on a line."""

    def on_subscribed(self, name: str) -> None:
        """
        Handle the beginning of a subscription: from now on messages arrive.

        Args:
            name: A pub/sub channel.
        """
        ...

    def on_message(self, name: str, data: bytes) -> None:
        """
        Handle a message.

        Args:
            name: A pub/sub channel.
            data: The message.
        """
        ...

    def on_up(self, line: Hashable) -> None:
        """
        Handle that a line is connected, and that its server answers scripts.

        Args:
            line: The line.
        """
        ...

    def on_moved(self) -> None:
        """Handle that channels may have moved to other servers."""
        ...

    def on_down(self, line: Hashable, reason: str) -> None:
        """
        Handle that a line is not up; called again with each failed try.

        Args:
            line: The line.
            reason: What the driver or Redis said.
        """
        ...
