"""What is new in the channels that are listened to, in the order of the file."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ...channels.position import Position
from ...errors import BrokerUnavailableError, InvalidFieldError
from ..once import OnceLog
from .schema import ENTRY_COLUMNS, entry_from_row, read_head, read_last_seq

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ...channels.entry import Entry
    from .connection import Connection
    from .schema import Row

__all__ = ["News"]

_log = logging.getLogger("heliograph.brokers.sqlite")

_LISTEN = "INSERT OR IGNORE INTO temp.listened VALUES (?)"
_UNLISTEN = "DELETE FROM temp.listened WHERE name = ?"

# Entries read at once: bounds the memory of a listener that has much to catch up.
_NEWS_AT_ONCE = 2_000


class News:
    """
    Follows the file from the moment in which a channel is listened to.

    Args:
        connection: Used from the thread that reads.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.on_connected = self._resume
        # Up to which ``seq`` the file has been read, and which file that was.
        self._seen_seq = 0
        self._file_id: str | None = None
        # Of each channel that is listened to, the last position that was handed on.
        self._handed_on: dict[str, Position] = {}
        self._once = OnceLog(_log)

    def change(
        self, changes: Sequence[tuple[str, bool]]
    ) -> list[Position | BrokerUnavailableError | None]:
        """
        Change which channels are included in :meth:`read`, in one transaction.

        Args:
            changes: Names, in order, each with whether it is included from now on.

        Returns:
            For each that is included the channel's head: what comes after it is new; or
            why it is not included after all. For others :obj:`None`.

        Raises:
            BrokerUnavailableError: The file cannot be read. None of them is included.
        """
        heads: list[Position | BrokerUnavailableError | None] = []
        try:
            with self._connection.reading() as connection:
                for channel, is_included in changes:
                    if is_included and not self._handed_on:
                        self._seen_seq = read_last_seq(connection)
                    head: Position | BrokerUnavailableError | None = None
                    if is_included:
                        try:
                            head = read_head(connection, channel, self._connection.path)
                        except BrokerUnavailableError as error:
                            # A damaged row concerns no other channel.
                            head = error
                    heads.append(head)
                    if isinstance(head, Position):
                        self._handed_on[channel] = head
                        connection.execute(_LISTEN, (channel,))
                    else:
                        self._handed_on.pop(channel, None)
                        connection.execute(_UNLISTEN, (channel,))
        except BaseException:
            # Connecting anew makes the table from what is included then.
            for channel, _ in changes:
                self._handed_on.pop(channel, None)
            raise
        return heads

    def read(self) -> list[Entry]:
        """
        Return what is new in the channels listened to.

        Returns:
            Entries in the order of their commits; more may be waiting unless it is
            empty.

        Raises:
            BrokerUnavailableError: The file cannot be read. Nothing is skipped.
        """
        fresh: list[Entry] = []
        with self._connection.reading() as connection:
            while self._handed_on and not fresh:
                last = read_last_seq(connection)
                rows = connection.execute(
                    f"SELECT entry.seq, {ENTRY_COLUMNS}"  # noqa: S608 - our constant
                    # CROSS: in this order, or all history of the channels is scanned.
                    " FROM entry CROSS JOIN channel ON channel.id = entry.channel_id"
                    " WHERE entry.seq > ? AND channel.name IN temp.listened"
                    " ORDER BY entry.seq LIMIT ?",
                    (self._seen_seq, _NEWS_AT_ONCE),
                ).fetchall()
                for _, *row in rows:
                    self._add_row(fresh, tuple(row))
                full = len(rows) == _NEWS_AT_ONCE
                self._seen_seq = rows[-1][0] if full else max(last, self._seen_seq)
                if not full:
                    break
        return fresh

    def _add_row(self, fresh: list[Entry], row: Row) -> None:
        try:
            entry = entry_from_row(row)
        except InvalidFieldError as error:
            # Left out, so that the others come; the hole that it makes is announced.
            self._once.skipped(
                row[0], "damaged entries", f"{self._connection.path}: {error}"
            )
            return
        handed_on = self._handed_on[entry.channel]
        position = entry.position
        if position.epoch == handed_on.epoch and position.offset <= handed_on.offset:
            return
        self._handed_on[entry.channel] = position
        fresh.append(entry)

    def _resume(self, connection: sqlite3.Connection, file_id: str) -> None:
        connection.execute("CREATE TEMP TABLE listened (name TEXT PRIMARY KEY)")
        connection.executemany(
            "INSERT INTO temp.listened VALUES (?)",
            [(channel,) for channel in self._handed_on],
        )
        if file_id != self._file_id:
            # Another file: all that is in it is new, whatever its numbers are.
            self._seen_seq = 0
        self._file_id = file_id
