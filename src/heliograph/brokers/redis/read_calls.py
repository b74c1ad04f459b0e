"""
Calls that read: history, the entry with an id, and what is retained.

Each class has the arguments of its script in ``lua/``, and parses what that returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...channels.position import Position
from .calls import Call, new_script, parse_position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .scripts import Reply

__all__ = ["Find", "Read", "ReadPage", "ReadRetained", "ReadRetainedAs", "RetainedPage"]


@dataclass(slots=True, kw_only=True)
class Read(Call):
    """
    Read what follows a position.

    Args:
        after_epoch: Of that position; ``""`` for the oldest entry held.
        after_offset: Of that position.
        max_entries: Number of entries that are returned at most; 0 for none.
        max_bytes: Size of their events together at which the page ends; it has at least
            one entry.
        listens: Whether the caller listens to the channel.
    """

    after_epoch: str = ""
    after_offset: int = 0
    max_entries: int
    max_bytes: int
    listens: bool = False

    @staticmethod
    def parse(reply: Reply) -> ReadPage:
        """
        Return what the script's reply says.

        Args:
            reply: The reply.
        """
        epoch, head, oldest, same, rows, token, at, began, ended, retained = reply
        return ReadPage(
            head=Position(epoch.decode(), int(head)),
            oldest_offset=int(oldest),
            same_until=int(same) if same else None,
            rows=rows,
            head_token=token.decode(),
            head_at=at.decode(),
            began=int(began),
            has_ended=bool(ended),
            has_retained=bool(retained),
        )


@dataclass(slots=True, kw_only=True)
class ReadPage:
    """
    A part of a channel's history, as it is stored.

    Args:
        head: The channel's newest position.
        oldest_offset: Of the oldest entry held; one more than the head's if none is.
        same_until: Offset up to which the life of the position asked for is the same as the
            present one; :obj:`None` if it is not known.
        rows: The entries: what :func:`.values.load_row` reads.
        head_token: Of the entry at the head; ``""`` if it is not held.
        head_at: When that entry was published; the present time if it is not held.
        began: The offset after which the channel began.
        has_ended: Whether the entry at the head is the end of the channel.
        has_retained: Whether the channel has retained entries.
    """

    head: Position
    oldest_offset: int
    same_until: int | None
    rows: Sequence[Reply]
    head_token: str
    head_at: str
    began: int = 0
    has_ended: bool = False
    has_retained: bool = False


@dataclass(slots=True, kw_only=True)
class Find(Call):
    """
    Find the one entry with an id of the publisher's own.

    Args:
        event_id: The id, in UTF-8 or whatever a client sent.
    """

    event_id: bytes

    needs_no_row = False

    @staticmethod
    def parse(reply: Reply) -> Position | None:
        """
        Return the entry's position; :obj:`None` if there is none, or more than one.

        Args:
            reply: The script's reply.
        """
        return parse_position(reply)


@dataclass(slots=True, kw_only=True)
class ReadRetained(Call):
    """
    Read retained entries in the order of their offsets.

    Args:
        after: Offset after which they begin, as text: somebody else may have written what
            is none.
        max_entries: Number of entries that are returned at most.
        max_bytes: Size of all of them together at which the page ends; it has at least one
            entry.
    """

    after: str
    max_entries: int
    max_bytes: int

    @staticmethod
    def parse(reply: Reply) -> RetainedPage:
        """
        Return what the script's reply says.

        Args:
            reply: The reply.
        """
        epoch, head, rows = reply
        return RetainedPage(Position(epoch.decode(), int(head)), rows)


@dataclass(frozen=True, slots=True)
class RetainedPage:
    """
    Retained entries as they are stored.

    Args:
        head: The channel's newest position.
        rows: For each entry its offset and what :func:`.values.load_retained` reads.
    """

    head: Position
    rows: Sequence[Sequence[bytes]]


@dataclass(slots=True, kw_only=True)
class ReadRetainedAs(Call):
    """
    Read the retained entry that has a key.

    Args:
        kept_as: ``@`` and the key.
    """

    kept_as: bytes

    @staticmethod
    def parse(reply: Reply) -> RetainedPage:
        """
        Return what the script's reply says: one row or none.

        Args:
            reply: The reply.
        """
        epoch, head, *row = reply
        return RetainedPage(Position(epoch.decode(), int(head)), [row] if row else [])


Read.script = new_script("read", Read, uses=["shown"])
Find.script = new_script("find", Find)
ReadRetained.script = new_script("retained", ReadRetained, uses=["shown"])
ReadRetainedAs.script = new_script("keyed", ReadRetainedAs, uses=["shown"])
