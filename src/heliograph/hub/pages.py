"""
Pages of what a client has missed.

After a restart a crowd has missed the same. In a stream of one channel the block of an
event is the same for all of them, and so is a page between two positions: it is encoded
once, and kept for a while with a few others (:mod:`heliograph.channels.joined`).
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from ..wire.coding import Coding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..channels.log import LogItem
    from ..channels.position import Positions
    from ..channels.selection import Selection

__all__ = ["PAGE_BYTES", "PAGE_ENTRIES", "beginning", "is_common", "merged"]

PAGE_BYTES = 64 * 1024
"""The size of a page: what is written before the client has to have taken it."""

PAGE_ENTRIES = 64
"""How many entries a page has at most."""


def merged(pages: Iterable[list[LogItem]]) -> list[LogItem]:
    """Return entries of several channels in the order in which they were published."""
    # No entries of one channel are reordered, whatever their times are.
    first, *others = [*pages] or [[]]
    if not others:
        return first
    return list(heapq.merge(first, *others, key=lambda item: item.entry.published_at))


def beginning(page: list[LogItem]) -> list[LogItem]:
    """Return as much of a page as is written at once; the rest is read again."""
    size = 0
    for count, item in enumerate(page):
        if size > PAGE_BYTES:
            return page[:count]
        size += len(item.body)
    return page


def is_common(page: list[LogItem], selection: Selection, positions: Positions) -> bool:
    """
    Return whether a page is the same for all clients that are given it.

    Args:
        page: Entries that follow the positions.
        selection: What the client asked for.
        positions: The client's.
    """
    return (
        bool(page)
        and len(selection.channels) == 1
        # Compressed, each event may have to be for itself.
        and selection.coding is Coding.IDENTITY
        # Ids that state more than the offset of their event.
        and not positions.replayed
        and not positions.untold
        and not any(item.entry.is_end or item.has_end_after for item in page)
        and sum(len(item.body) for item in page) <= PAGE_BYTES
    )
