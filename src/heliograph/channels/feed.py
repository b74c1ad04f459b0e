"""
One selection's events as encoded blocks, shared by all of its subscribers.

A feed is an append-only list of blocks; a subscriber is a :class:`Cursor` into it. There
is no queue per client: what is behind a cursor is joined and framed once, and cursors at
the same block get the same bytes. A block is dropped as soon as the last cursor has
passed it, so a feed with nobody behind holds nothing.

Clients choose selections, and there may be as many feeds as clients. So carrying an event
costs no more than a reference to its :class:`.log.LogItem`, whose body all feeds share; the
id line, which differs, is written when a cursor takes the block.

Invariants: blocks are numbered from 0 for ever; ``_first`` is the number of the oldest
block held; ``_starts[i]`` is about how many bytes the feed had carried before block
``_first + i``; ``_written`` is the number of the first block without an id line, and
``_positions`` are the positions of a client that has taken every block before it.
"""

from __future__ import annotations

import json
from array import array
from typing import TYPE_CHECKING

from ..event import Event
from ..wire.encoder import encode_body, encode_comment, encode_id
from .selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .log import LogItem
    from .position import GapReason, Position, Positions

__all__ = [
    "GAP_EVENT_TYPE",
    "HEARTBEAT",
    "Cursor",
    "Feed",
    "HeldBytes",
    "entry_block",
    "gap_block",
    "position_block",
]

GAP_EVENT_TYPE = "heliograph.gap"

HEARTBEAT = encode_comment("")
"""A comment: the block of a stream that is alive and has nothing else to send."""


# What a block costs beside its bytes: references, and the objects around it.
_BLOCK_BYTES = 64


def position_block(positions: Positions) -> bytes:
    """
    Return the block that tells a client its position, without an event.

    A block without data dispatches nothing, but clients keep its id (WHATWG HTML section
    9.2.6; seen in Chromium 156). So a client that is disconnected before its first event
    resumes exactly.

    Args:
        positions: Of the client.
    """
    return encode_id(positions.id) + b"\n"


def entry_block(item: LogItem, positions: Positions) -> bytes:
    """
    Move positions past an entry, and return the block that tells a client so.

    Args:
        item: The next entry of one of the channels.
        positions: Of the client before the entry; advanced.

    Returns:
        The bytes of one event. Its id is the publisher's own if the stream has only
        this channel; a stream of several channels needs all of their positions.
    """
    return _id_line(item, positions) + item.body


def _id_line(item: LogItem, positions: Positions) -> bytes:
    entry = item.entry
    positions.advance(entry.channel, entry.position)
    own_id = entry.event.id
    if own_id is None or len(positions.channels) > 1:
        return encode_id(positions.id)
    return encode_id(own_id)


def gap_block(
    gaps: Mapping[str, tuple[GapReason, Position]], positions: Positions
) -> bytes:
    """
    Move positions past what is missing, and return the event that tells a client so.

    Args:
        gaps: For each channel concerned, why, and the position after which the stream
            continues.
        positions: Of the client; advanced.

    Returns:
        The bytes of one ``heliograph.gap`` event, whose JSON data has ``channels`` (a
        sorted list) and ``reasons`` (channel to reason).
    """
    for channel, (_, position) in gaps.items():
        positions.advance(channel, position)
    reasons = {channel: gaps[channel][0] for channel in sorted(gaps)}
    data = json.dumps({"channels": list(reasons), "reasons": reasons})
    event = Event(data, type=GAP_EVENT_TYPE)
    return encode_id(positions.id) + encode_body(event)


class Cursor:
    """
    A subscriber's position in a feed. Only its feed moves it.

    Attributes:
        block: Number of the next block to take.
    """

    __slots__ = ("block",)

    def __init__(self, block: int) -> None:
        self.block = block


class HeldBytes:
    """
    What some feeds hold together, in bytes: each event counts once.

    Attributes:
        bytes: About how many.
    """

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class _Entry:
    """The block of an entry, in one feed."""

    __slots__ = ("id_line", "item")

    def __init__(self, item: LogItem) -> None:
        self.item = item
        self.id_line = b""


class Feed:
    """
    The blocks of one selection.

    Args:
        positions: After which the feed begins; the feed keeps and moves them.
        held: Counts what this feed and others hold; :obj:`None` for this feed alone.
        selection: What it is the feed of; :obj:`None` for the positions' channels alone.
    """

    __slots__ = (
        "_blocks",
        "_cursors_at",
        "_end_bytes",
        "_first",
        "_framing",
        "_held",
        "_id_bytes",
        "_joined",
        "_positions",
        "_starts",
        "_written",
    )

    def __init__(
        self,
        positions: Positions,
        held: HeldBytes | None = None,
        *,
        selection: Selection | None = None,
    ) -> None:
        self._positions = positions
        self._framing = (selection or Selection(positions.channels)).framing
        self._held = HeldBytes() if held is None else held
        # Number of a block -> how many cursors will take it next. Few keys: most cursors
        # are at the end.
        self._cursors_at: dict[int, int] = {}
        self._blocks: list[bytes | _Entry] = []
        self._starts = array("q")
        self._first = self._written = 0
        self._end_bytes = 0
        # Of the last id line: what the next is going to have, or about that.
        self._id_bytes = 0
        # Number of a block -> all from it to the end, joined for one flush pass.
        self._joined: dict[int, bytes] = {}

    @property
    def positions(self) -> Positions:
        """The positions of a client that has taken every block."""
        self._write_ids()
        return self._positions

    @property
    def end(self) -> int:
        """The number that the next block will have."""
        return self._first + len(self._blocks)

    @property
    def carried_bytes(self) -> int:
        """About how many bytes the feed has ever carried for a cursor."""
        return self._end_bytes

    @property
    def held_blocks(self) -> int:
        """Blocks that some cursor has yet to pass."""
        return len(self._blocks)

    @property
    def cursors(self) -> int:
        """How many cursors there are."""
        return sum(self._cursors_at.values())

    def append(self, item: LogItem) -> None:
        """
        Carry the next entry of one of the channels.

        Args:
            item: It must follow :attr:`positions` in its channel.
        """
        if not self._cursors_at:
            # Nobody to take it: only the positions matter.
            self._positions.advance(item.entry.channel, item.entry.position)
            self._skip()
            return
        size = len(item.body)
        if not item.holders:
            self._held.bytes += size
        item.holders += 1
        self._push(_Entry(item), size + self._id_bytes)

    def announce_gap(self, channel: str, reason: GapReason, go_on: Position) -> None:
        """
        Carry a gap event: entries of a channel are missing at this point.

        Args:
            channel: One of the channels.
            reason: Why.
            go_on: Just before the next entry that will be appended.
        """
        self.append_block(gap_block({channel: (reason, go_on)}, self.positions))

    def rename(self, channel: str, position: Position) -> None:
        """
        Carry the clients' position in a channel that has a new epoch.

        Args:
            channel: One of the channels.
            position: What :attr:`positions` has, in the new epoch.
        """
        self.positions.advance(channel, position)
        self.append_block(position_block(self._positions))

    def append_block(self, block: bytes) -> None:
        """
        Carry a block as it is: a heartbeat, or an event that has no offset.

        Args:
            block: One whole block.
        """
        if not self._cursors_at:
            self._skip()
            return
        self._held.bytes += len(block)
        self._push(block, len(block))

    def join(self) -> Cursor:
        """Return a cursor that will take every block appended from now on."""
        end = self.end
        self._cursors_at[end] = self._cursors_at.get(end, 0) + 1
        return Cursor(end)

    def leave(self, cursor: Cursor) -> None:
        """
        Forget a cursor, and what only it had yet to take.

        Args:
            cursor: One that :meth:`join` gave, and that has not left.
        """
        self._depart(cursor.block)
        if self._blocks and self._first not in self._cursors_at:
            self.trim()

    def take(self, cursor: Cursor) -> bytes:
        """
        Return all that is behind a cursor, and move it to the end.

        Blocks are dropped by :meth:`trim`, not here: a caller that serves many cursors
        trims once when all have taken.

        Args:
            cursor: One of this feed's.

        Returns:
            Joined and framed blocks, ``b""`` at the end. Cursors at the same block share
            them.
        """
        start, end = cursor.block, self._first + len(self._blocks)
        if start == end:
            return b""
        self._depart(start)
        self._cursors_at[end] = self._cursors_at.get(end, 0) + 1
        cursor.block = end
        joined = self._joined.get(start)
        if joined is None:
            self._write_ids()
            parts: list[bytes] = []
            for block in self._blocks[start - self._first :]:
                if isinstance(block, bytes):
                    parts.append(block)
                else:
                    parts += (block.id_line, block.item.body)
            joined = self._joined[start] = self._framing.frame(b"".join(parts))
        return joined

    def lag_bytes(self, cursor: Cursor) -> int:
        """
        Return about how many bytes a cursor has yet to take.

        Args:
            cursor: One of this feed's.
        """
        index = cursor.block - self._first
        if index == len(self._blocks):
            return 0
        return self._end_bytes - self._starts[index]

    def trim(self) -> None:
        """Drop the blocks that every cursor has passed, and what is joined for one pass."""
        self._joined.clear()
        oldest = min(self._cursors_at, default=self.end)
        passed = oldest - self._first
        if oldest > self._written:
            self._write_ids()
        for block in self._blocks[:passed]:
            self._held.bytes -= _BLOCK_BYTES
            if isinstance(block, bytes):
                self._held.bytes -= len(block)
                continue
            self._held.bytes -= len(block.id_line)
            block.item.holders -= 1
            if not block.item.holders:
                self._held.bytes -= len(block.item.body)
        del self._blocks[:passed]
        del self._starts[:passed]
        self._first = oldest

    def _write_ids(self) -> None:
        """Write the id lines that are missing, and move the positions past them."""
        end = self._first + len(self._blocks)
        if self._written == end:
            return
        for block in self._blocks[self._written - self._first :]:
            if not isinstance(block, bytes):
                block.id_line = _id_line(block.item, self._positions)
                self._id_bytes = len(block.id_line)
                self._held.bytes += self._id_bytes
        self._written = end

    def _depart(self, block: int) -> None:
        left = self._cursors_at[block] - 1
        if left:
            self._cursors_at[block] = left
        else:
            del self._cursors_at[block]

    def _push(self, block: bytes | _Entry, size: int) -> None:
        self._held.bytes += _BLOCK_BYTES
        self._starts.append(self._end_bytes)
        self._blocks.append(block)
        self._end_bytes += size
        self._joined.clear()

    def _skip(self) -> None:
        self._first += 1
        self._written = self._first
