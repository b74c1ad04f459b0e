"""A subscriber's position in a feed, and the count of what feeds hold."""

from __future__ import annotations

__all__ = ["Cursor", "HeldBytes"]


class Cursor:
    """
    A subscriber's position in a feed. Only its feed moves it.

    Attributes:
        block: Number of the next block to take.
        origin: How many bytes of the feed, before compression, came before the first one
            since which its client has received the feed and nothing else; :obj:`None` if
            that is the next block.
        is_settled: Whether its client gets the same bytes as any other settled one at the
            same block. Only a client of a shared window is not, until it has received as
            much as the window holds.
    """

    __slots__ = ("block", "is_settled", "origin")

    def __init__(self, block: int, *, is_settled: bool = True) -> None:
        self.block = block
        self.is_settled = is_settled
        self.origin: int | None = None


class HeldBytes:
    """
    How many bytes some feeds hold together. A body that several of them hold counts once.

    Attributes:
        bytes: The approximate number, of what is behind cursors.
        window_bytes: How many bytes are kept besides, to which compressed blocks refer.
    """

    __slots__ = ("bytes", "window_bytes")

    def __init__(self) -> None:
        self.bytes = self.window_bytes = 0
