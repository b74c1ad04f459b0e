"""How much of each channel is kept, according to the configuration of a hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .values import Retention, RetentionPolicy

if TYPE_CHECKING:
    from ..channels.options import ChannelOptions, ChannelPatterns
    from ..config import HubConfig

__all__ = ["policy_of"]


def policy_of(config: HubConfig) -> RetentionPolicy:
    """
    Return how much a broker keeps of each channel.

    Args:
        config: Its ``channels`` say what of which channel is kept longer or shorter.

    Returns:
        One :class:`Retention` if it is the same for all channels, which then costs nothing
        to look up.
    """
    patterns = config.channel_patterns
    retentions = {options: _retention(options) for options in patterns.all_options}
    first, *others = {*retentions.values()}
    return _ByPattern(patterns, retentions) if others else first


def _retention(options: ChannelOptions) -> Retention:
    return Retention(
        events=options.history_events,
        seconds=options.history_seconds,
        forget_seconds=options.forget_seconds,
        retained_keys=options.retained_keys,
    )


class _ByPattern(RetentionPolicy):
    """
    The retention of channels by patterns of their names.

    Args:
        patterns: The options of each channel.
        retentions: The retention for all options that a channel may have.
    """

    def __init__(
        self, patterns: ChannelPatterns, retentions: dict[ChannelOptions, Retention]
    ) -> None:
        self._patterns = patterns
        self._retentions = retentions

    def of(self, channel: str) -> Retention:
        """Return how much is kept of a channel."""
        return self._retentions[self._patterns.options_of(channel)]
