"""What one stream is made of: everything on which its bytes depend, and nothing else."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ..wire.framing import Framing

__all__ = ["Coding", "Selection"]


class Coding(Enum):
    """The content coding of a stream (RFC 9110 section 8.4.1)."""

    IDENTITY = "identity"
    """The blocks as they are encoded."""


class Selection(NamedTuple):
    """
    What a client asked for. Streams of equal selections share a feed, and so their bytes.

    A tuple and not a dataclass: it is a dictionary's key for every stream that begins or
    ends.

    Attributes:
        channels: 1 to 64 channels, sorted, each once.
        framing: How blocks are delimited on the connection.
        coding: How blocks are compressed.
    """

    channels: tuple[str, ...]
    framing: Framing = Framing.IDENTITY
    coding: Coding = Coding.IDENTITY
