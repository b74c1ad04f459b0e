"""The event that tells a client that a channel has ended."""

from __future__ import annotations

import json

from ..event import Event

__all__ = ["END_EVENT_TYPE", "end_event"]

END_EVENT_TYPE = "heliograph.end"


def end_event(channel: str) -> Event:
    """
    Return the event after which nothing comes in a channel.

    Args:
        channel: The channel's name.

    Returns:
        An event ``heliograph.end``, whose JSON data has ``channel``.
    """
    data = json.dumps({"channel": channel}, ensure_ascii=False)
    return Event(data, type=END_EVENT_TYPE)
