"""
One selection's events as encoded blocks, shared by all of its subscribers.

A feed is an append-only list of blocks, and each subscriber has a :class:`Cursor` in it.
There is no queue per client: the blocks between a cursor and the end are joined,
compressed and framed once, and cursors at the same block get the same bytes. A block is
dropped when the last cursor has passed it, so a feed whose cursors are all at the end holds
nothing.

Clients choose selections, and there may be as many feeds as clients. So appending an event
costs a reference to its :class:`.log.LogItem`, whose body all feeds share; the ``id:``
line, which differs between feeds, is written when a cursor takes the block.

Invariants: blocks are numbered from 0 and numbers are never reused; ``_first`` is the
number of the oldest block held; ``_starts[i]`` is about how many bytes were appended before
block ``_first + i``; ``_written`` is the number of the first block without an id line, and
``_positions`` are the positions of a client that has taken every block before it.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from ..wire.coding import Coding
from .blocks import end_block, gap_block, id_line
from .cursor import Cursor, HeldBytes
from .joined import JoinedBlocks
from .segments import Segments
from .selection import Selection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .log import LogItem
    from .opening import Opening
    from .position import GapReason, Position, Positions

__all__ = ["Feed"]

# The memory of a block beside its bytes: references, and the objects around it.
_BLOCK_BYTES = 64


class _Entry:
    """The block of an entry in one feed."""

    __slots__ = ("id_line", "item")

    def __init__(self, item: LogItem) -> None:
        self.item = item
        self.id_line = b""


class _Rename:
    """A block in one feed that is needed if no entry follows it."""

    __slots__ = ("opening",)

    def __init__(self, opening: Opening) -> None:
        self.opening = opening


class Feed:
    """
    The blocks of one selection.

    Args:
        positions: The positions after which the feed begins. The feed keeps this object and
            changes it.
        held: A counter that is shared with other feeds; :obj:`None` for one of its own.
        selection: The selection of the feed; :obj:`None` for one of the channels of
            ``positions``, sent as they are encoded.

    Attributes:
        selection: The same.
    """

    __slots__ = (
        "_blocks",
        "_cursors_at",
        "_end_bytes",
        "_first",
        "_framing",
        "_has_window",
        "_held",
        "_id",
        "_id_bytes",
        "_joined",
        "_positions",
        "_segments",
        "_starts",
        "_written",
        "selection",
    )

    def __init__(
        self,
        positions: Positions,
        held: HeldBytes | None = None,
        *,
        selection: Selection | None = None,
    ) -> None:
        self._positions = positions
        selection = selection or Selection(positions.channels)
        self.selection = selection
        self._framing = selection.framing
        self._has_window = selection.coding is Coding.GZIP_WINDOW
        self._held = HeldBytes() if held is None else held
        # Number of a block -> what settled cursors take there. Others need more of a key.
        self._joined = JoinedBlocks()
        self._segments = (
            None
            if selection.coding is Coding.IDENTITY
            else Segments(
                selection.coding, selection.framing, self._held, self._joined, self._raw
            )
        )
        # Number of a block -> how many cursors take it next. There are few keys: most
        # cursors are at the end.
        self._cursors_at: dict[int, int] = {}
        self._blocks: list[bytes | _Entry | _Rename] = []
        self._starts = array("q")
        self._first = self._written = 0
        self._end_bytes = 0
        # The number of a block, and the id of a client that has taken all before it.
        self._id: tuple[int, str] | None = None
        # The size of the last id line, as an estimate for the next one.
        self._id_bytes = 0

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels, sorted."""
        return self._positions.channels

    @property
    def positions(self) -> Positions:
        """The positions of a client that has taken every block."""
        self._write_ids()
        return self._positions

    @property
    def id(self) -> str:
        """The id of :attr:`positions`, written once for all clients that ask for it."""
        if self._id is None or self._id[0] != self.end:
            self._id = self.end, self.positions.id
        return self._id[1]

    @property
    def end(self) -> int:
        """The number of the next block that is appended."""
        return self._first + len(self._blocks)

    @property
    def carried_bytes(self) -> int:
        """About how many bytes were ever appended while the feed had a cursor."""
        return self._end_bytes

    @property
    def held_blocks(self) -> int:
        """How many blocks at least one cursor has not passed."""
        return len(self._blocks)

    @property
    def cursor_blocks(self) -> int:
        """At how many different blocks the cursors are."""
        return len(self._cursors_at)

    @property
    def cursors(self) -> int:
        """The number of cursors in the feed."""
        return sum(self._cursors_at.values())

    def append(self, item: LogItem) -> None:
        """
        Append the next entry of one of the channels.

        Args:
            item: An entry that follows :attr:`positions` in its channel.
        """
        if not self._cursors_at:
            # No cursor will take it: only the positions change.
            self._positions.advance(item.entry.channel, item.entry.position)
            self._skip()
            return
        size = len(item.body)
        if not item.holders:
            self._held.bytes += size
        item.holders += 1
        self._push(_Entry(item), size + self._id_bytes)
        if item.has_end_after:
            self.append_block(end_block(item.entry.channel, self.positions))

    def announce_gap(self, channel: str, reason: GapReason, go_on: Position) -> None:
        """
        Append a gap event: entries of a channel are missing at this point.

        Args:
            channel: One of the channels.
            reason: Why they are missing.
            go_on: The position just before the next entry that is appended.
        """
        self.append_block(gap_block({channel: (reason, go_on)}, self.positions))

    def rename(self, channel: str, position: Position, opening: Opening) -> None:
        """
        Append the clients' position in a channel whose head got a new epoch.

        Nothing is sent for it if an entry follows before the next pass, since its id has
        the position, too: on Redis each new channel gets its epoch with its first event.

        Args:
            channel: One of the channels.
            position: The position of :attr:`positions` in this channel, in the new epoch.
            opening: How clients are told their position.
        """
        is_last = self._blocks and isinstance(self._blocks[-1], _Rename)
        if is_last and self.end not in self._cursors_at:
            # The ids before that block are written, and it will have this position as well.
            self._positions.advance(channel, position)
            return
        self.positions.advance(channel, position)
        if self._cursors_at:
            self._push(_Rename(opening), self._id_bytes)
        else:
            self._skip()

    def append_block(self, block: bytes) -> None:
        """
        Append a block that has no position: a heartbeat, or an event without an offset.

        Args:
            block: The bytes of one whole block.
        """
        if not self._cursors_at:
            self._skip()
            return
        self._held.bytes += len(block)
        self._push(block, len(block))

    def join(self) -> Cursor:
        """Return a cursor at the end: it takes every block that is appended from now on."""
        if self._segments is not None:
            self._fill(self._segments)
        end = self.end
        self._cursors_at[end] = self._cursors_at.get(end, 0) + 1
        return Cursor(end, is_settled=not self._has_window)

    def interrupt(self, cursor: Cursor) -> None:
        """
        Take into account that a client was sent something that is not of the feed.

        Args:
            cursor: The client's cursor. What it takes next must not refer to what the
                client has received before.
        """
        cursor.origin = None
        cursor.is_settled = not self._has_window

    def leave(self, cursor: Cursor) -> None:
        """
        Remove a cursor, and drop the blocks that only this cursor had not passed.

        Args:
            cursor: A cursor of this feed that has not left.
        """
        self._depart(cursor.block)
        if self._segments is not None and not self._cursors_at:
            self._segments.release()
        if self._blocks and self._first not in self._cursors_at:
            self.trim()

    def take(self, cursor: Cursor) -> bytes:
        """
        Return the blocks between a cursor and the end, and move the cursor to the end.

        Blocks are dropped by :meth:`trim`, not here: a caller that serves many cursors
        calls it once, after all of them.

        Args:
            cursor: A cursor of this feed.

        Returns:
            The blocks, joined, compressed and framed; ``b""`` if the cursor is at the end.
            Cursors at the same block get the same object.
        """
        start, end = cursor.block, self._first + len(self._blocks)
        if start == end:
            return b""
        # For most cursors of a pass nothing but this look-up.
        joined = self._joined.get(start) if cursor.is_settled else None
        if joined is None:
            # What no other cursor is going to take is not kept.
            is_shared = self._cursors_at[start] > 1
            if self._segments is None:
                self._write_ids()
                joined = self._framing.frame(self._raw(start, end))
                if is_shared:
                    self._joined.keep(start, joined)
            else:
                self._fill(self._segments)
                joined = self._segments.take(cursor, is_shared=is_shared)
        self._depart(start)
        self._cursors_at[end] = self._cursors_at.get(end, 0) + 1
        cursor.block = end
        return joined

    def take_together(self, cursors: Sequence[Cursor]) -> bytes:
        """
        Return the blocks between some cursors and the end, and move them to the end.

        Args:
            cursors: Settled cursors of this feed at one block, at least one.

        Returns:
            What :meth:`take` returns for each of them.
        """
        first, *others = cursors
        start = first.block
        joined = self.take(first)
        end = first.block
        if others and start != end:
            self._depart(start, len(others))
            self._cursors_at[end] += len(others)
            for cursor in others:
                cursor.block = end
        return joined

    def lag_bytes(self, cursor: Cursor) -> int:
        """
        Return about how many bytes are between a cursor and the end.

        Args:
            cursor: A cursor of this feed.
        """
        index = cursor.block - self._first
        if index == len(self._blocks):
            return 0
        return self._end_bytes - self._starts[index]

    def trim(self) -> None:
        """Drop the blocks that every cursor has passed, and what was joined for a pass."""
        self._joined.forget()
        oldest = min(self._cursors_at, default=self.end)
        passed = oldest - self._first
        if oldest > self._written:
            self._write_ids()
        for block in self._blocks[:passed]:
            self._held.bytes -= _BLOCK_BYTES
            if isinstance(block, bytes):
                self._held.bytes -= len(block)
            elif isinstance(block, _Entry):
                self._held.bytes -= len(block.id_line)
                block.item.holders -= 1
                if not block.item.holders:
                    self._held.bytes -= len(block.item.body)
        del self._blocks[:passed]
        del self._starts[:passed]
        self._first = oldest
        if self._segments is not None:
            self._segments.trim(oldest)

    def _write_ids(self) -> None:
        """Write the missing id lines, and move the positions past their blocks."""
        end = self._first + len(self._blocks)
        if self._written == end:
            return
        start = self._written - self._first
        rename: tuple[int, _Rename] | None = None
        for at, block in enumerate(self._blocks[start:], start):
            if isinstance(block, _Entry):
                block.id_line = id_line(block.item, self._positions)
                self._id_bytes = len(block.id_line)
                self._held.bytes += self._id_bytes
                rename = None
            elif isinstance(block, _Rename):
                self._blocks[at], rename = b"", (at, block)
        if rename is not None:
            at, renamed = rename
            told = renamed.opening.block(self._positions, resumed=True)
            self._blocks[at] = told
            self._held.bytes += len(told)
        self._written = end

    def _raw(self, start: int, end: int) -> bytes:
        """Return the bytes of some blocks. Their id lines are written."""
        parts: list[bytes] = []
        for block in self._blocks[start - self._first : end - self._first]:
            if isinstance(block, _Entry):
                parts += (block.id_line, block.item.body)
            elif isinstance(block, bytes):
                parts.append(block)
        return b"".join(parts)

    def _fill(self, segments: Segments) -> None:
        """Put the blocks that are in no segment yet into one, or into one each."""
        end = self.end
        if segments.end == end:
            return
        self._write_ids()
        step = 1 if segments.is_of_one_block else end - segments.end
        for start in range(segments.end, end, step):
            segments.append(start + step, self._raw(start, start + step))

    def _depart(self, block: int, cursors: int = 1) -> None:
        left = self._cursors_at[block] - cursors
        if left:
            self._cursors_at[block] = left
        else:
            del self._cursors_at[block]

    def _push(self, block: bytes | _Entry | _Rename, size: int) -> None:
        self._held.bytes += _BLOCK_BYTES
        self._starts.append(self._end_bytes)
        self._blocks.append(block)
        self._end_bytes += size
        self._joined.forget()

    def _skip(self) -> None:
        self._first += 1
        self._written = self._first
        if self._segments is not None:
            self._segments.trim(self._first)
