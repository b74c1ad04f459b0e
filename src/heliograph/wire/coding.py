"""
Content codings: how the blocks of a stream are compressed.

Sans-IO. A coding is applied to what many clients are given once, by their feed, and to what
is for one client alone by its subscriber.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Coding"]


class Coding(Enum):
    """The content coding of a stream (RFC 9110 section 8.4.1)."""

    IDENTITY = "identity"
    """The blocks as they are encoded."""
