"""What clients ask for: pages of history, and the position of a publisher's own id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...channels.position import Position
from ...errors import BrokerUnavailableError, InvalidFieldError
from ..base import History, resolve
from .schema import ENTRY_COLUMNS, entry_from_row, read_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...channels.entry import Entry
    from .connection import Connection
    from .schema import Row

__all__ = ["Reader"]

# Bytes of data that are read at once, or one entry: what a client that catches up costs.
_READ_BYTES = 256 * 1024


class Reader:
    """
    Reads history.

    Args:
        connection: Used from the thread that reads.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, channel: str, after: Position | None, limit: int) -> History:
        """Return what follows a position. See :meth:`..base.Broker.read`."""
        with self._connection.reading() as connection:
            head = read_head(connection, channel, self._connection.path)
            (oldest,) = connection.execute(
                "SELECT min(offset) FROM entry WHERE channel_id ="
                " (SELECT id FROM channel WHERE name = ?) AND offset BETWEEN 1 AND ?",
                (channel, head.offset),
            ).fetchone()
            offset, gap = resolve(
                after, head, head.offset + 1 if oldest is None else int(oldest)
            )
            rows = connection.execute(
                f"SELECT {ENTRY_COLUMNS} FROM channel"  # noqa: S608 - our constant
                " JOIN entry ON entry.channel_id = channel.id"
                " WHERE channel.name = ? AND entry.offset > ? AND entry.offset <= ?"
                " ORDER BY entry.offset LIMIT ?",
                (channel, offset, head.offset, limit),
            )
            entries = tuple(self._entries(rows))
        start = Position(head.epoch, offset)
        return History(entries=entries, start=start, head=head, gap=gap)

    def find(self, channel: str, event_id: str) -> Position | None:
        """Return the position of an entry. See :meth:`..base.Broker.find`."""
        with self._connection.reading() as connection:
            rows = connection.execute(
                "SELECT channel.epoch, entry.offset FROM channel"
                " JOIN entry ON entry.channel_id = channel.id"
                " WHERE channel.name = ? AND entry.event_id = ? LIMIT 2",
                (channel, event_id),
            ).fetchall()
        try:
            return Position.parse(*rows[0]) if len(rows) == 1 else None
        except InvalidFieldError:
            return None  # damaged: an id that cannot be resumed from

    def _entries(self, rows: Iterable[Row]) -> Iterator[Entry]:
        size = 0
        for row in rows:
            try:
                entry = entry_from_row(row)
            except InvalidFieldError as error:
                raise BrokerUnavailableError(
                    str(self._connection.path),
                    f"damaged entry {row[2]} in channel {row[0]!r}: {error}",
                ) from error
            yield entry
            size += len(entry.event.data)
            if size > _READ_BYTES:
                return
