"""
Split a stream of bytes into lines, as its pieces arrive.

A line ends at CRLF, LF or CR (WHATWG HTML section 9.2.5). A CR at the end of a piece ends
its line at once, and an LF that follows in the next piece is skipped. Waiting for that LF
would hold an event back until the next one: a server that ends lines with CR alone sends
nothing between the two.

Each byte is looked at once, so the time is linear in the input, however it is cut.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import EventTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PARSER_LIMIT", "LineSplitter"]

_LINE_END = re.compile(b"\r\n?|\n")

PARSER_LIMIT = "EventStreamParser(max_event_bytes=…) sets the limit"
"""Where the limit of a parser is set, for the message of an error."""


class LineSplitter:
    """
    Lines from bytes in any chunking.

    Args:
        max_line_bytes: Longest line in bytes, its end not counted. At least 1.
    """

    __slots__ = ("_line", "_max_line_bytes", "_swallow_lf")

    def __init__(self, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        # A bytearray grows in place: joining bytes would copy the line for each piece.
        self._line = bytearray()
        self._swallow_lf = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """
        Yield the lines that ``chunk`` completes.

        Args:
            chunk: The next bytes of the stream, any number of them.

        Yields:
            Each line without its end.

        Raises:
            EventTooLargeError: A line is longer than ``max_line_bytes``, finished or not.
        """
        start = 0
        if self._swallow_lf and chunk:
            start = 1 if chunk.startswith(b"\n") else 0
            self._swallow_lf = False
        for end in _LINE_END.finditer(chunk, start):
            # Set before the line is yielded: the caller may stop iterating there.
            self._swallow_lf = end.end() == len(chunk) and end.group() == b"\r"
            yield self._complete(chunk[start : end.start()])
            start = end.end()
        self._line += chunk[start:]
        self._check(len(self._line))

    def _complete(self, tail: bytes) -> bytes:
        self._check(len(self._line) + len(tail))
        if not self._line:
            return tail
        line = bytes(self._line) + tail
        self._line.clear()
        return line

    def _check(self, size: int) -> None:
        if size > self._max_line_bytes:
            raise EventTooLargeError(size, self._max_line_bytes, PARSER_LIMIT)
