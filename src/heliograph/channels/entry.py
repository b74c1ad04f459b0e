"""An event with its channel and position, as a broker hands it to its listener."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .position import Positions, id_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..event import Event
    from .position import Position

__all__ = ["Entry", "id_after"]


@dataclass(frozen=True, slots=True)
class Entry:
    """
    An event with its channel and position.

    Args:
        channel: The channel's name.
        position: The event's epoch and offset. Offsets are dense: 1, 2, 3 …
        event: The event; its ``id`` is the publisher's own, usually :obj:`None`.
        published_at: When the broker stored it, in seconds since the epoch of Unix.
        is_end: Whether it is the end of its channel.
        retained_as: The key under which it was retained when it was published, ``""`` for
            the one without a key; :obj:`None` if it was not.
    """

    channel: str
    position: Position
    event: Event
    published_at: float
    is_end: bool = False
    retained_as: str | None = None


def id_after(entries: Sequence[Entry]) -> str:
    """
    Return the id with which a stream of some channels resumes after an event.

    A publisher's own id names a position in one channel only, so it is returned if the
    event was published to a single channel.

    Args:
        entries: The entries of the event, one for each channel of the stream; at least one.
    """
    if len(entries) == 1:
        (entry,) = entries
        own_id = entry.event.id
        return id_of(entry.channel, entry.position) if own_id is None else own_id
    return Positions({entry.channel: entry.position for entry in entries}).id
