"""Which channels are exchanged with programs that know nothing of Heliograph, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...channels.names import is_internal
from .values import dump_plain, load_plain

if TYPE_CHECKING:
    from ...event import Event
    from ..plain import PlainChannels
    from .names import Names

__all__ = ["Exchange"]


class Exchange:
    """
    Plain channels: pub/sub channels with a channel's own name, for other programs.

    Args:
        plain_channels: The channels that are exchanged; :obj:`None` for none.
        names: Names of our own pub/sub channels, which are never exchanged.
    """

    def __init__(self, plain_channels: PlainChannels | None, names: Names) -> None:
        self._plain_channels = plain_channels
        self._names = names

    def includes(self, channel: str) -> bool:
        """
        Return whether a channel is exchanged.

        Args:
            channel: Any name.
        """
        # A user may name a channel as we name ours in Redis; its plain one would be ours.
        return (
            self._plain_channels is not None
            and self._plain_channels.includes(channel)
            and not is_internal(channel)
            and not self._names.is_ours(channel)
        )

    def dump(self, channel: str, event: Event) -> str | None:
        """
        Return an event as it is published on the plain channel.

        Args:
            channel: Any name.
            event: An event of that channel.

        Returns:
            The message; :obj:`None` if the channel is not exchanged.
        """
        if self._plain_channels is None or not self.includes(channel):
            return None
        return dump_plain(event, self._plain_channels.format)

    def load(self, message: bytes) -> Event:
        """
        Parse a message of a plain channel.

        Args:
            message: What another program has published.

        Raises:
            Exception: One of :data:`.values.DAMAGED`.
        """
        assert self._plain_channels is not None  # noqa: S101 - or none is subscribed to
        return load_plain(message, self._plain_channels.format)
