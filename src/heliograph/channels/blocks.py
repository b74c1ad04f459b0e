"""The blocks of a stream, as bytes: an entry's event, a gap event, a heartbeat."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..event import Event
from ..wire.encoder import encode_body, encode_comment, encode_id
from .end import end_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .log import LogItem
    from .position import GapReason, Position, Positions

__all__ = [
    "GAP_EVENT_TYPE",
    "HEARTBEAT",
    "end_block",
    "entry_block",
    "gap_block",
    "gap_event",
    "id_line",
    "retained_block",
]

GAP_EVENT_TYPE = "heliograph.gap"

HEARTBEAT = encode_comment("")
"""
A comment, which is sent after silence. Clients ignore it (WHATWG HTML section 9.2.6).

No block of its own: several clients dispatch an empty message for a block without data (see
:mod:`.opening`).
"""


def entry_block(item: LogItem, positions: Positions) -> bytes:
    """
    Move positions past an entry, and return the block of its event.

    Args:
        item: The next entry of one of the channels.
        positions: The positions of a client before the entry. Moved past it.

    Returns:
        The bytes of one event. Its id is the publisher's own if the stream has this channel
        alone: a stream of several channels needs the positions in all of them. If its
        channel ends with it, the event that tells so follows.
    """
    block = id_line(item, positions) + item.body
    if item.has_end_after:
        block += end_block(item.entry.channel, positions)
    return block


def id_line(item: LogItem, positions: Positions) -> bytes:
    """
    Move positions past an entry, and return the ``id:`` line of its event.

    Args:
        item: The next entry of one of the channels.
        positions: The positions of a client before the entry. Moved past it.
    """
    entry = item.entry
    positions.advance(entry.channel, entry.position)
    own_id = entry.event.id
    if own_id is not None and len(positions.channels) == 1:
        return encode_id(own_id)
    return _line_before_end(item, positions)


def _line_before_end(item: LogItem, positions: Positions) -> bytes:
    """Return the line with the positions: a client may be cut off before the end."""
    channel = item.entry.channel
    if item.has_end_after:
        positions.withhold_end(channel)
    line = encode_id(positions.id)
    positions.tell_end(channel)
    return line


def retained_block(item: LogItem, positions: Positions) -> bytes:
    """
    Move positions past a retained entry, and return the block of its event.

    Args:
        item: A retained entry of a channel whose retained entries are being given.
        positions: The positions of a client before the entry.

    Returns:
        The bytes of one event. Its id is never the publisher's own: of an entry that
        history no longer holds, a client could not resume by that. If its channel ends with
        it, the event that tells so follows.
    """
    entry = item.entry
    positions.replay(entry.channel, entry.position.offset)
    block = _line_before_end(item, positions) + item.body
    if item.has_end_after:
        block += end_block(entry.channel, positions)
    return block


def end_block(channel: str, positions: Positions) -> bytes:
    """
    Return the event that tells a client that a channel has ended.

    Args:
        channel: The channel's name.
        positions: The positions of the client, at the end of the channel. They state from
            now on that it was told.
    """
    positions.tell_end(channel)
    return encode_id(positions.id) + encode_body(end_event(channel))


def gap_block(
    gaps: Mapping[str, tuple[GapReason, Position]], positions: Positions
) -> bytes:
    """
    Move positions past missing entries, and return the event that announces the gap.

    Args:
        gaps: For each channel with a gap, its reason, and the position after which the
            stream continues.
        positions: The positions of a client. Moved past the gaps.

    Returns:
        The bytes of one ``heliograph.gap`` event. Its JSON data has ``channels`` (a sorted
        list) and ``reasons`` (an object: channel to reason).
    """
    for channel, (_, position) in gaps.items():
        positions.advance(channel, position)
    event = gap_event({channel: reason for channel, (reason, _) in gaps.items()})
    return encode_id(positions.id) + encode_body(event)


def gap_event(reasons: Mapping[str, GapReason]) -> Event:
    """
    Return the event that announces that entries are missing.

    Args:
        reasons: For each channel why.
    """
    data = {"channels": sorted(reasons), "reasons": dict(sorted(reasons.items()))}
    return Event(json.dumps(data), type=GAP_EVENT_TYPE)
