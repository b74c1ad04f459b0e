"""
Split a stream of bytes into lines, as its pieces arrive.

A line ends at CRLF, LF or CR (WHATWG HTML section 9.2.5). A CR at the end of a piece ends
its line at once, and an LF that follows in the next piece is skipped. Waiting for that LF
would hold an event back until the next one: a server that ends lines with CR alone sends
nothing between the two.

The lines of a piece are split and decoded together, which costs a third of what it costs
line by line. CR and LF cannot be part of a longer UTF-8 sequence, so this yields what
decoding the whole stream would. Each byte is looked at once, so the time is linear in the
input, however it is cut.
"""

from __future__ import annotations

from ..errors import EventTooLargeError

__all__ = ["PARSER_LIMIT", "LineSplitter"]

PARSER_LIMIT = "EventStreamParser(max_event_bytes=…) sets the limit"
"""Where the limit of a parser is set, for the message of an error."""


class LineSplitter:
    """
    Lines from bytes in any chunking.

    Args:
        max_line_bytes: Longest line in bytes, its end not counted. At least 1.

    Attributes:
        error: A line was longer than that, finished or not; :obj:`None` so far. The
            splitter is not usable afterwards.
    """

    __slots__ = ("_line", "_max_line_bytes", "_swallow_lf", "error")

    def __init__(self, max_line_bytes: int) -> None:
        self.error: EventTooLargeError | None = None
        self._max_line_bytes = max_line_bytes
        # A bytearray grows in place: joining bytes would copy the line for each piece.
        self._line = bytearray()
        self._swallow_lf = False

    def feed(self, chunk: bytes) -> list[str]:
        """
        Return the lines that ``chunk`` completes.

        Args:
            chunk: The next bytes of the stream, any number of them.

        Returns:
            Each line without its end, decoded as UTF-8 with U+FFFD for what is not; those
            before a line that is too long.
        """
        if self._line or self._swallow_lf or chunk[-1:] != b"\n" or b"\r" in chunk:
            chunk = self._whole_lines(chunk)
        if len(chunk) > self._max_line_bytes:
            chunk = self._before_a_long_line(chunk)
        lines = chunk.decode("utf-8", errors="replace").split("\n")
        # What follows the last line end: nothing.
        del lines[-1]
        return lines

    def _whole_lines(self, chunk: bytes) -> bytes:
        """Return the lines that are complete, each ending in LF, and keep the rest."""
        if self._swallow_lf and chunk:
            self._swallow_lf = False
            chunk = chunk.removeprefix(b"\n")
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        if not end:
            self._line += chunk
            self._check(len(self._line))
            return b""
        whole = chunk[:end]
        if self._line:
            whole = bytes(self._line) + whole
            self._line.clear()
        self._line += chunk[end:]
        self._check(len(self._line))
        self._swallow_lf = end == len(chunk) and whole.endswith(b"\r")
        if b"\r" in whole:
            whole = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return whole

    def _before_a_long_line(self, whole: bytes) -> bytes:
        start = 0
        while start < len(whole):
            end = whole.index(b"\n", start)
            if end - start > self._max_line_bytes:
                self._check(end - start)
                return whole[:start]
            start = end + 1
        return whole

    def _check(self, size: int) -> None:
        if size > self._max_line_bytes:
            self.error = EventTooLargeError(size, self._max_line_bytes, PARSER_LIMIT)
