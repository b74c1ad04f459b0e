"""A selection: everything on which the bytes of a stream depend, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..wire.coding import Coding
from ..wire.framing import Framing

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Selection"]


class Selection(NamedTuple):
    """
    What a client asked for. Streams of equal selections share a feed, and so their bytes.

    A tuple and not a dataclass: it is a dictionary's key for every stream that begins or
    ends.

    Attributes:
        channels: 1 to 64 channels, sorted, each once.
        framing: How blocks are delimited on the connection.
        coding: The content coding of the blocks.
    """

    channels: tuple[str, ...]
    framing: Framing = Framing.IDENTITY
    coding: Coding = Coding.IDENTITY

    def wrap(self, blocks: Iterable[bytes]) -> bytes:
        """
        Return the bytes to send for blocks that are for one client alone.

        Args:
            blocks: Whole blocks, at least one.
        """
        return self.framing.frame(self.coding.code(blocks))
