"""
The blocks of a feed, compressed once for all of its cursors.

A segment is a run of blocks that are compressed together. It begins where at least one
cursor was when its blocks were appended, so no cursor ever begins inside of one, and each
block is in one segment only: how much is compressed depends on what is published, and not
on how many clients there are or how far behind they are. Clients that join make segments
shorter.

Of a segment there are variants. The first refers to nothing before it and fits every
client. The others refer to the last bytes before the segment, up to the size of a window,
and fit clients that have received at least that many bytes of the feed, with nothing of
their own in between (:mod:`heliograph.wire.coding`). A variant is made when the first
cursor needs it. Those with a window are made while the bytes before the segment are at
hand, which is in the flush pass for which the segment was made: a client that takes it
later gets the best variant that there is.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from ..wire.coding import Coding, deflate

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..wire.framing import Framing
    from .cursor import Cursor, HeldBytes
    from .joined import JoinedBlocks

__all__ = ["MAX_WINDOW_BYTES", "WINDOW_BYTES", "Segments"]

WINDOW_BYTES = (0, 1 << 10, 1 << 12, 1 << 14, (1 << 15) - 262)
"""
How far the variants of a segment refer back. The last one is as far as zlib looks (RFC 1951
allows 32 KiB): with 16 KiB events of 1.8 KB had 0.89 of the ratio of a compressor per
connection. The smaller ones bring a client near it after its first few events.
"""

MAX_WINDOW_BYTES = 16 * 1024 * 1024
"""
How many bytes the feeds of a hub keep together to refer to. Clients choose selections, and
each has a feed. A feed that gets no more sends blocks that refer to nothing.
"""

# The memory of a segment beside its compressed bytes: the objects and references.
_SEGMENT_BYTES = 450


class _Segment:
    """
    A run of blocks.

    Attributes:
        first: The number of its first block.
        end: The number of the block after its last one.
        start: How many bytes of the feed are before it, not compressed.
        raw: Its bytes, not compressed, during the pass for which it was made.
        before: The last bytes before it, in the same time.
        variants: The compressed bytes by the number of their window.
    """

    __slots__ = ("before", "end", "first", "raw", "start", "variants")

    def __init__(self, first: int, end: int, start: int, raw: bytes, before: bytes) -> None:
        self.first = first
        self.end = end
        self.start = start
        self.raw: bytes | None = raw
        self.before = before
        self.variants: dict[int, bytes] = {}


class Segments:
    """
    The compressed blocks of one feed.

    Args:
        coding: The content coding; not the identity.
        framing: How the blocks are delimited on the connections.
        held: Compressed bytes are counted here while they are held.
        joined: Keeps what is taken, until the feed empties it: by the number of the first
            block for settled cursors, else by that and the windows.
        raw_of: Returns the bytes of the blocks from one number up to another one, which
            the feed still holds.

    Attributes:
        end: The number of the first block that is in no segment yet.
        is_of_one_block: Whether each segment may have one block only.
    """

    __slots__ = (
        "_before",
        "_firsts",
        "_framing",
        "_fresh",
        "_has_windows",
        "_held",
        "_joined",
        "_raw_bytes",
        "_raw_of",
        "_segments",
        "end",
        "is_of_one_block",
    )

    def __init__(
        self,
        coding: Coding,
        framing: Framing,
        held: HeldBytes,
        joined: JoinedBlocks,
        raw_of: Callable[[int, int], bytes],
    ) -> None:
        self.is_of_one_block = coding is Coding.GZIP_EVENTS
        self._has_windows = coding is Coding.GZIP_WINDOW
        self._framing = framing
        self._held = held
        self._raw_of = raw_of
        self._segments: list[_Segment] = []
        self._firsts: list[int] = []
        # The index of the first segment of this pass.
        self._fresh = 0
        self._raw_bytes = 0
        # The last bytes of the feed, for segments to come.
        self._before = b""
        self._joined = joined
        self.end = 0

    def append(self, end: int, raw: bytes) -> None:
        """
        Make a segment of the next blocks.

        Args:
            end: The number of the block after the last one.
            raw: The bytes of the blocks from :attr:`end` on, not compressed.
        """
        segment = _Segment(self.end, end, self._raw_bytes, raw, self._before)
        self._segments.append(segment)
        self._firsts.append(self.end)
        self._held.bytes += _SEGMENT_BYTES
        self._raw_bytes += len(raw)
        if self._has_windows:
            self._keep((self._before + raw)[-WINDOW_BYTES[-1] :])
        self.end = end

    def take(self, cursor: Cursor, *, is_shared: bool) -> bytes:
        """
        Return the blocks between a cursor and the end, compressed and framed.

        Args:
            cursor: A cursor at the beginning of a segment.
            is_shared: Whether other cursors are at the same block. Those for which the same
                variants fit get the same object then.
        """
        start = cursor.block
        index = bisect_left(self._firsts, start)
        segment = self._segments[index]
        if cursor.origin is None:
            cursor.origin = segment.start
        if segment.start - cursor.origin >= WINDOW_BYTES[-1]:
            cursor.is_settled = True
        taken = self._segments[index:]
        windows = tuple([self._window(each.start - cursor.origin) for each in taken])
        # Settled cursors do not even need their windows: their feed has looked.
        key = start if cursor.is_settled else (start, windows)
        joined = self._joined.get(key)
        if joined is None:
            coded = map(self._variant, taken, windows)
            joined = self._framing.frame(b"".join(coded))
            if is_shared:
                self._joined.keep(key, joined)
        return joined

    def trim(self, oldest: int) -> None:
        """
        Drop what every cursor has passed, and what was kept for one pass.

        Args:
            oldest: The number of the oldest block that a cursor has not passed.
        """
        passed = bisect_left(self._firsts, oldest)
        for segment in self._segments[:passed]:
            self._held.bytes -= _SEGMENT_BYTES + sum(map(len, segment.variants.values()))
        del self._segments[:passed]
        del self._firsts[:passed]
        # Not all: a client that reads nothing would make each pass longer.
        for segment in self._segments[max(0, self._fresh - passed) :]:
            segment.raw, segment.before = None, b""
        self._fresh = len(self._segments)
        # Blocks that were dropped because there was no cursor are in no segment.
        self.end = max(self.end, oldest)

    def release(self) -> None:
        """Drop what is kept for segments to come: the feed has no cursor."""
        self._keep(b"")

    def _keep(self, before: bytes) -> None:
        """Keep bytes as those before the next segment, if all feeds may keep so much."""
        kept = self._held.window_bytes - len(self._before)
        # Without them the next segments refer to less, or to nothing.
        self._before = before if kept + len(before) <= MAX_WINDOW_BYTES else b""
        self._held.window_bytes = kept + len(self._before)

    def _window(self, received: int) -> int:
        """Return the number of the largest window that fits after so many bytes."""
        if not self._has_windows:
            return 0
        number = len(WINDOW_BYTES) - 1
        while WINDOW_BYTES[number] > received:
            number -= 1
        return number

    def _variant(self, segment: _Segment, window: int) -> bytes:
        if segment.raw is None:
            window = max((each for each in segment.variants if each <= window), default=0)
        coded = segment.variants.get(window)
        if coded is None:
            raw = segment.raw
            if raw is None:
                raw = self._raw_of(segment.first, segment.end)
            size = WINDOW_BYTES[window]
            coded = deflate(raw, segment.before[-size:] if size else b"")
            segment.variants[window] = coded
            self._held.bytes += len(coded)
        return coded
