"""
Transfer codings of HTTP/1.1: how the bytes of a response without a length are delimited.

Sans-IO. A response that ends with its connection (RFC 9112 section 6.3, item 8) cannot be
told apart from one that was cut off; a chunked one can (section 7.1).
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Framing"]


class Framing(Enum):
    """How the blocks of a stream are delimited on their connection."""

    IDENTITY = "identity"
    """They are sent as they are, and the connection's end is the stream's (HTTP/1.0). Also
    for what a server frames by itself."""
    CHUNKED = "chunked"
    """Each write is a chunk of RFC 9112 section 7.1."""

    def frame(self, data: bytes) -> bytes:
        """
        Return bytes as they are sent.

        Args:
            data: Whole blocks, at least one byte: a chunk without data would be the last
                one (RFC 9112 section 7.1).
        """
        if self is Framing.IDENTITY:
            return data
        return b"%x\r\n%b\r\n" % (len(data), data)

    @property
    def end(self) -> bytes:
        """The bytes that end a stream: the last chunk, or nothing."""
        return b"" if self is Framing.IDENTITY else b"0\r\n\r\n"
