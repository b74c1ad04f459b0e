"""An event in its channel, as a broker hands it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..event import Event
    from .position import Position

__all__ = ["Entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """
    An event with its channel and position.

    Args:
        channel: The channel's name.
        position: The event's epoch and offset. Offsets are dense: 1, 2, 3 …
        event: The event; its ``id`` is the publisher's own, usually :obj:`None`.
        published_at: When the broker took it, in seconds since the epoch of Unix.
    """

    channel: str
    position: Position
    event: Event
    published_at: float
