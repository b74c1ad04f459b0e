"""
The transfer coding of a stream: how a response without a length is delimited.

Sans-IO. A client cannot distinguish a response that ends with its connection (RFC 9112
section 6.3, item 8) from one that was cut off. It can if the response is chunked (section
7.1), which a server may only send to a client of HTTP/1.1 (section 6.1). nginx asks its
upstream in HTTP/1.0 unless it is told otherwise, so there the connection's end is the only
way.

Most clients read both as they arrive. ``iter_lines()`` and ``iter_content(None)`` of
requests yield chunks at once, but nothing of a response that is neither chunked nor has a
length before that has ended.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Framing"]


class Framing(Enum):
    """How the blocks of a stream are delimited on the connection."""

    # Members are parts of dictionaries' keys, and Enum computes it in Python.
    __hash__ = object.__hash__

    IDENTITY = "identity"
    """Blocks are sent as they are, and the stream ends with its connection. Also for a
    server that does the framing by itself."""
    CHUNKED = "chunked"
    """Each write is a chunk of RFC 9112 section 7.1."""

    def frame(self, data: bytes) -> bytes:
        """
        Return the bytes to send for some blocks.

        Args:
            data: Whole blocks. Never empty: a chunk of size 0 ends the response (RFC 9112
                section 7.1, ``last-chunk``).
        """
        if self is Framing.IDENTITY:
            return data
        return b"%x\r\n%b\r\n" % (len(data), data)

    @property
    def end(self) -> bytes:
        """The bytes that end a stream: ``last-chunk`` without trailers, or nothing."""
        return b"" if self is Framing.IDENTITY else b"0\r\n\r\n"
