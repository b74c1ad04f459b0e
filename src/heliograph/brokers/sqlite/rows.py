"""
The values in the rows of channels and entries.

Other programs can write anything into a column, so every value that is read is checked.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ...channels.entry import Entry
from ...channels.position import Position
from ...errors import InvalidFieldError
from ...event import Event
from .schema import read_state

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "ENTRY_COLUMNS",
    "ChannelState",
    "Row",
    "entry_from_row",
    "is_text",
    "parse_channel",
    "read_channel",
]

ENTRY_COLUMNS = (
    "channel.name, channel.epoch, entry.offset, entry.published_at, entry.type,"
    " entry.event_id, entry.retry_ms, entry.data, entry.is_end, entry.retained_as"
)
"""
What :func:`entry_from_row` expects, of ``channel`` joined with ``entry``, or with
``retained AS entry``.
"""

Row: TypeAlias = tuple[Any, Any, Any, Any, Any, Any, Any, Any, Any, Any]
"""One row of :data:`ENTRY_COLUMNS`. The values may be of any type that SQLite has."""


class ChannelState(NamedTuple):
    """
    The state of a channel.

    Attributes:
        head: Its newest position.
        began: The offset after which its present life began.
        ended: The offset of its last end; 0 if it never ended.
        has_retained: Whether it has retained entries.
    """

    head: Position
    began: int = 0
    ended: int = 0
    has_retained: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether the entry at the head is the end of the channel."""
        return self.began < self.ended == self.head.offset


def read_channel(
    connection: sqlite3.Connection, channel: str
) -> tuple[ChannelState, str | None]:
    """
    Return the state of a channel.

    Args:
        connection: A connection to a file that has the tables.
        channel: A valid name; one without a row is at offset 0.

    Returns:
        The state, and what is wrong with the channel's row; :obj:`None` if nothing is. A
        channel with a damaged row has no history. It begins anew with its next event, in
        another epoch.
    """
    *row, has_retained = connection.execute(
        "SELECT epoch, head, began, ended,"
        " EXISTS (SELECT 1 FROM retained WHERE channel_id = channel.id)"
        " FROM channel WHERE name = ?"
        " UNION ALL SELECT epoch, 0, 0, 0, 0 FROM meta",
        (channel,),
    ).fetchone()
    try:
        return parse_channel(*row)._replace(has_retained=bool(has_retained)), None
    except InvalidFieldError as error:
        return ChannelState(Position(read_state(connection).epoch, 0)), str(error)


def parse_channel(
    epoch: object, head: object, began: object, ended: object
) -> ChannelState:
    """
    Return the state that the row of a channel holds.

    Args:
        epoch: The columns of the row, of any type.
        head: Likewise.
        began: Likewise.
        ended: Likewise.

    Raises:
        InvalidFieldError: The row is damaged.
    """
    position = Position.parse(epoch, head)
    for field, offset in (("began", began), ("ended", ended)):
        if type(offset) is not int or not 0 <= offset <= position.offset:
            raise InvalidFieldError(field, offset, "must be an offset up to the head")
    return ChannelState(position, began, ended)  # type: ignore[arg-type]  # as just checked


def entry_from_row(row: Row) -> Entry:
    """
    Return the entry that a row holds.

    Args:
        row: The values of :data:`ENTRY_COLUMNS`.

    Raises:
        InvalidFieldError: The row is damaged.
    """
    channel, epoch, offset, published_at, type_, event_id, retry_ms, data, *terms = row
    if not isinstance(published_at, float) or not math.isfinite(published_at):
        raise InvalidFieldError("published_at", published_at, "must be a time in seconds")
    event = Event(data, type=type_, id=event_id, retry_ms=retry_ms)
    position = Position.parse(epoch, offset)
    return Entry(channel, position, event, published_at, *_parse_terms(*terms))


def _parse_terms(is_end: object, retained_as: object) -> tuple[bool, str | None]:
    # Of a plain event, also one of the last release, both are NULL.
    if is_end is not None and is_end != 1:
        raise InvalidFieldError("is_end", is_end, "must be 1 or NULL")
    if retained_as is None:
        return is_end is not None, None
    # Text that is no UTF-8 was read with surrogates.
    if not isinstance(retained_as, str) or not is_text(retained_as):
        raise InvalidFieldError("retained_as", retained_as, "must be text")
    return is_end is not None, retained_as


def is_text(value: str) -> bool:
    """
    Return whether SQLite takes a value, which may have lone surrogates otherwise.

    Args:
        value: A value to be stored, or one that was read: text that is no UTF-8 has them.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
