"""What clients ask for: pages of history, and the position of a publisher's own id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...channels.position import Position
from ...errors import InvalidFieldError
from ..values import History, Retained, resolve
from .lives import is_beginning
from .rows import ENTRY_COLUMNS, entry_from_row, read_channel

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from ...channels.entry import Entry
    from ...channels.position import GapReason
    from ..once import OnceLog
    from .connection import Connection
    from .rows import ChannelState, Row

__all__ = ["Reader"]

# Bytes of data that are read at once, or one entry: what a client that catches up costs.
_READ_BYTES = 256 * 1024


class Reader:
    """
    Reads history.

    Args:
        connection: Used from the thread that reads.
        once: Logs damage.
    """

    def __init__(self, connection: Connection, once: OnceLog) -> None:
        self._connection = connection
        self._once = once

    def read(self, channel: str, after: Position | None, limit: int) -> History:
        """
        Return what follows a position. Damaged entries are a gap.

        See :meth:`..base.Broker.read`.
        """
        with self._connection.reading() as connection:
            state = self._read_state(connection, channel)
            head = state.head
            (oldest,) = connection.execute(
                "SELECT min(offset) FROM entry WHERE channel_id ="
                " (SELECT id FROM channel WHERE name = ?) AND offset BETWEEN ? AND ?",
                (channel, state.began + 1, head.offset),
            ).fetchone()
            same_until = (
                0
                if after is not None
                and after.epoch != head.epoch
                and is_beginning(connection, channel, after.epoch, head.epoch)
                else None
            )
            offset, gap = resolve(
                after, head, head.offset + 1 if oldest is None else int(oldest), same_until
            )
            rows = connection.execute(
                f"SELECT {ENTRY_COLUMNS} FROM channel"  # noqa: S608 - our constant
                " JOIN entry ON entry.channel_id = channel.id"
                " WHERE channel.name = ? AND entry.offset > ? AND entry.offset <= ?"
                " ORDER BY entry.offset LIMIT ?",
                (channel, offset, head.offset, limit),
            )
            # Read one by one: those after the last that fits are not loaded.
            offset, gap, page, is_empty = self._load_page(offset, gap, rows)
        if limit and is_empty and offset < head.offset:
            # Another program has removed what should follow.
            offset, gap = head.offset, gap or "trimmed"
        return History(
            entries=tuple(page),
            start=Position(head.epoch, offset),
            head=head,
            gap=gap,
            began=state.began,
            has_ended=state.has_ended,
        )

    def find(self, channel: str, event_id: str) -> Position | None:
        """Return the position of an entry. See :meth:`..base.Broker.find`."""
        with self._connection.reading() as connection:
            # With a plus, or the index of offsets would be used.
            rows = connection.execute(
                "SELECT channel.epoch, entry.offset FROM channel"
                " JOIN entry ON entry.channel_id = channel.id"
                " WHERE channel.name = ? AND entry.event_id = ?"
                " AND +entry.offset > channel.began LIMIT 2",
                (channel, event_id),
            ).fetchall()
        try:
            return Position.parse(*rows[0]) if len(rows) == 1 else None
        except InvalidFieldError:
            return None  # damaged: an id that cannot be resumed from

    def retained(self, channel: str, after: int, limit: int) -> Retained:
        """Return retained entries. See :meth:`..base.Broker.retained`."""
        page: list[Entry] = []
        size = 0
        with self._connection.reading() as connection:
            state = self._read_state(connection, channel)
            # Read one by one: those after the last that fits are not loaded.
            for row in connection.execute(
                f"SELECT {ENTRY_COLUMNS} FROM channel"  # noqa: S608 - our constant
                " JOIN retained AS entry ON entry.channel_id = channel.id"
                " WHERE channel.name = ? AND entry.offset > ? AND entry.offset <= ?"
                " ORDER BY entry.offset",
                (channel, max(after, state.began), state.head.offset),
            ):
                entry = self._load_retained(row)
                if entry is None:
                    continue
                page.append(entry)
                size += len(entry.event.data)
                if len(page) == limit or size > _READ_BYTES:
                    break
        return Retained(entries=tuple(page), head=state.head)

    def retained_as(self, channel: str, key: str) -> Entry | None:
        """Return the entry that has a key. See :meth:`..base.Broker.retained_as`."""
        with self._connection.reading() as connection:
            row = connection.execute(
                f"SELECT {ENTRY_COLUMNS} FROM channel"  # noqa: S608 - our constant
                " JOIN retained AS entry ON entry.channel_id = channel.id"
                " WHERE channel.name = ? AND entry.retained_as = ?"
                " AND +entry.offset > channel.began AND +entry.offset <= channel.head",
                (channel, key),
            ).fetchone()
        return None if row is None else self._load_retained(row)

    def _read_state(self, connection: sqlite3.Connection, channel: str) -> ChannelState:
        state, damage = read_channel(connection, channel)
        if damage is not None:
            detail = f"{self._connection.path}: {damage}"
            self._once.skipped(channel, "its damaged row", detail)
        return state

    def _load_retained(self, row: Row) -> Entry | None:
        try:
            return entry_from_row(row)
        except InvalidFieldError as error:
            detail = f"the first is {row[2]}: {error} ({self._connection.path})"
            self._once.skipped(row[0], "damaged retained entries", detail)
            return None

    def _load_page(
        self, offset: int, gap: GapReason | None, rows: Iterable[Row]
    ) -> tuple[int, GapReason | None, list[Entry], bool]:
        """
        Return where a page begins, why, its entries, and whether there was no row at all.

        A page has no hole. Damaged or missing entries before its first one are a gap, at
        which it begins; those after it end the page, and are the gap of the next one.
        """
        page: list[Entry] = []
        size, is_empty = 0, True
        for row in rows:
            is_empty = False
            expected = offset + len(page) + 1
            try:
                entry = entry_from_row(row)
            except InvalidFieldError as error:
                if page:
                    break
                # Logged once, since it is found again whenever a client reads it.
                detail = f"the first is {expected}: {error} ({self._connection.path})"
                self._once.skipped(row[0], "damaged entries", detail)
                offset, gap = expected, gap or "trimmed"
                continue
            found = entry.position.offset
            if found != expected:
                if page:
                    break
                offset, gap = found - 1, gap or "trimmed"
            page.append(entry)
            size += len(entry.event.data)
            if size > _READ_BYTES:
                break
        return offset, gap, page, is_empty
