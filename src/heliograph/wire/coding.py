"""
Content codings: how the blocks of a stream are compressed.

Sans-IO: bytes in, bytes out. A gzip stream (RFC 1952) is a header and a deflate stream (RFC
1951), and deflate blocks that end at a byte can be put one after the other in any order if
none refers to what is before it. So blocks are compressed once for all clients, each of
which gets the header alone for itself. Sends no trailer: that would need a checksum for
each client, and curl, Node, requests, httpx and aiohttp take the end of the connection for
the end of the stream (Go reports an unexpected EOF), while a wrong trailer is an error for
all.

A block may refer to what is before it if the client has received exactly that. At the end
of a block a decoder's state is only the last bytes that it has returned, 32 KiB at most
(RFC 1951 section 2), so it does not matter in how many blocks these came or how they were
compressed. Rejected: a compressor that lives on from block to block. It takes 64 KiB and
more for each feed, can be lost from step with its clients, and cannot be begun late; and
with the last bytes as a dictionary a compressor of its own finds the same matches.
"""

from __future__ import annotations

import zlib
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Coding", "deflate"]

# RFC 1952 section 2.3: ID1, ID2, CM = deflate, no flags, no time, no extra flags, OS =
# unknown.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

_LEVEL = 6

# The logarithm of zlib's window, and its memory level. For a short text it takes longer to
# clear the usual 256 KiB than to compress it; for a long one a small table of hashes costs
# up to a quarter more time.
_SMALL_BYTES = 4_096
_SMALL_COMPRESSOR = (-12, 5)
_LARGE_COMPRESSOR = (-15, 8)


class Coding(Enum):
    """The content coding of a stream (RFC 9110 section 8.4.1), and what blocks share."""

    # Members are parts of dictionaries' keys, and Enum computes it in Python.
    __hash__ = object.__hash__

    IDENTITY = "identity"
    """The blocks as they are encoded."""
    GZIP_EVENTS = "gzip-events"
    """
    gzip, each event for itself. The length of what is sent says nothing of whether an event
    resembles another one: for channels that are not public.
    """
    GZIP_BLOCKS = "gzip-blocks"
    """gzip; events that are sent together are compressed together."""
    GZIP_WINDOW = "gzip-window"
    """gzip; events refer to the ones before them that the client has received."""

    @property
    def content_encoding(self) -> str | None:
        """The value of ``Content-Encoding`` (RFC 9110 section 8.4); None for identity."""
        return None if self is Coding.IDENTITY else "gzip"

    @property
    def prologue(self) -> bytes:
        """What a stream begins with, before its first block."""
        return b"" if self is Coding.IDENTITY else _GZIP_HEADER

    def code(self, blocks: Iterable[bytes]) -> bytes:
        """
        Return some blocks, coded so that they can follow and precede any others.

        Args:
            blocks: Whole blocks that one client is sent.
        """
        if self is Coding.IDENTITY:
            return b"".join(blocks)
        if self is Coding.GZIP_EVENTS:
            return b"".join([_deflate_again(block) for block in blocks])
        return _deflate_again(b"".join(blocks))


def deflate(data: bytes, before: bytes = b"") -> bytes:
    """
    Compress some bytes as deflate blocks that end at a byte (RFC 1951).

    Args:
        data: The bytes, perhaps none.
        before: What a decoder has returned just before, 32 KiB at most, to which the blocks
            may refer. Empty for blocks that can be decoded after any others.

    Returns:
        None of the blocks is marked as the last one.
    """
    if not data:
        return b""
    is_small = len(data) + len(before) <= _SMALL_BYTES
    bits, memory = _SMALL_COMPRESSOR if is_small else _LARGE_COMPRESSOR
    compressor = (
        zlib.compressobj(_LEVEL, zlib.DEFLATED, bits, memory, zdict=before)
        if before
        else zlib.compressobj(_LEVEL, zlib.DEFLATED, bits, memory)
    )
    # What does not get shorter becomes a stored block by itself. A full flush appends an
    # empty one (RFC 1951 section 3.2.4), so the blocks end at a byte. Go's decoder returns
    # what it has at an empty stored block: one with data alone is held back until the next.
    return compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH)


# When many clients resume, as after a restart, most have missed the same: a page of 64 KiB
# takes 2 ms. So what was compressed last is kept, but nothing large: 24 MiB at most, with
# what it was made of. Of small events as many are kept as a client has usually missed: the
# next one may resume when it has been sent all of them.
_LARGEST_KEPT_BYTES = 256 * 1024
_deflate_small = lru_cache(maxsize=1024)(deflate)
_deflate_large = lru_cache(maxsize=32)(deflate)


def _deflate_again(data: bytes) -> bytes:
    if len(data) > _LARGEST_KEPT_BYTES:
        return deflate(data)
    return (_deflate_small if len(data) <= _SMALL_BYTES else _deflate_large)(data)
