"""Replies of Redis about channels, and the summaries that are made of them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from ...channels.position import Position
from ..inspection import ChannelSummary
from .values import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .names import Keys
    from .scripts import Reply

__all__ = ["Row", "entries_of", "load_hash", "offset_of", "summary_of"]

# As in lua/begin.lua.
_STATE = re.compile(rb"(\d+) (\d+) ([012]) (\d+)")


class Row(NamedTuple):
    """
    What a channel's hash says.

    Args:
        keys: Of the channel.
        head: The newest position.
        shown: The offset up to which readers get entries: that of the head, unless entries
            are not announced yet.
        has_ended: Whether the entry at the head is the end of the channel.
        extra: How many of its two further keys the channel has.
    """

    keys: Keys
    head: Position
    shown: int
    has_ended: bool
    extra: int


def load_hash(
    keys: Keys,
    epoch: bytes | None,
    head: bytes | None,
    shown: bytes | None,
    state: bytes | None,
) -> Row:
    """
    Return what the fields of a channel's hash say.

    Args:
        keys: Of the channel.
        epoch: The field of that name; :obj:`None` if there is none.
        head: Likewise.
        shown: Likewise.
        state: Likewise.

    Raises:
        Exception: One of :data:`.values.DAMAGED`.
    """
    position = Position.parse((epoch or b"").decode(), (head or b"").decode())
    ended, extra = 0, 0
    if state is not None:
        found = _STATE.fullmatch(state)
        ended, extra = (int(found[2]), int(found[3])) if found else (0, 2)
    is_number = shown is not None and shown.isdigit()
    return Row(
        keys=keys,
        head=position,
        shown=min(position.offset, int(shown)) if is_number and shown else position.offset,
        has_ended=0 < position.offset == ended,
        extra=extra,
    )


def summary_of(
    name: str,
    row: Row,
    *,
    held: int,
    oldest: Sequence[Reply],
    retained: int,
    sizes: Sequence[int | None],
    listeners: int | None,
) -> ChannelSummary:
    """
    Return the summary of a channel.

    Args:
        name: Its name.
        row: What its hash says.
        held: Number of entries in its stream.
        oldest: The oldest of them; nothing if there is none.
        retained: Number of retained entries.
        sizes: Of each of its keys, in bytes; :obj:`None` if it is unknown.
        listeners: Number of connections that listen to it; :obj:`None` likewise.
    """
    head = row.head.offset
    # As in lua/shown.lua: what was shown to nobody is not there yet.
    first = offset_of(oldest[0]) if oldest else head + 1
    shown = min(head, max(row.shown, first - 1))
    known = [size for size in sizes if size is not None]
    return ChannelSummary(
        name=name,
        head=Position(row.head.epoch, shown),
        events=max(0, held - (head - shown)),
        oldest_at=_time(oldest[0]) if oldest else None,
        retained=retained,
        size_bytes=sum(known) if known else None,
        has_ended=row.has_ended,
        listeners=listeners,
    )


def entries_of(page: Reply) -> list[Reply]:
    """
    Return entries as scripts do, with their fields in a row: the driver makes dicts.

    Args:
        page: The driver's reply; :obj:`None` for no entries.
    """
    return [
        (
            number,
            None if fields is None else [part for one in fields.items() for part in one],
        )
        for number, fields in page or ()
    ]


def offset_of(entry: Reply) -> int:
    """
    Return the offset of an entry of a stream.

    Args:
        entry: Its id is the first item.
    """
    return int(entry[0].partition(b"-")[0])


def _time(entry: Reply) -> float | None:
    _, flat = entry
    try:
        at = float(dict(zip(flat[::2], flat[1::2], strict=True))[b"at"])
    except DAMAGED:
        return None
    return at if math.isfinite(at) else None
