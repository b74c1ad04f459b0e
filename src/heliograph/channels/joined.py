"""Bytes that several clients are given, joined once and kept for a while."""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["MAX_JOINED_BYTES", "JoinedBlocks"]

MAX_JOINED_BYTES = 4 * 1024 * 1024
"""
How many joined bytes are kept together, or one value that is larger. Where clients are at
many different blocks, what each of them takes overlaps with what the others take, so all of
it together would grow with the square of their number.
"""


class JoinedBlocks(dict[Hashable, bytes]):
    """
    Joined blocks by what determines them, such as the number of the first block.

    Fed by :meth:`keep` and emptied by :meth:`forget`; otherwise used as a dictionary that
    is read, since one look-up for each delivery is all that most of them cost.
    """

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def keep(self, key: Hashable, joined: bytes) -> None:
        """
        Keep a value, and drop all others if that would be too much.

        Args:
            key: Has no value yet.
            joined: The value.
        """
        if self._bytes + len(joined) > MAX_JOINED_BYTES:
            self.forget()
        self._bytes += len(joined)
        self[key] = joined

    def forget(self) -> None:
        """Drop all values."""
        if self:
            self.clear()
            self._bytes = 0
