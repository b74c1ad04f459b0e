"""Appends that are stored in one transaction: each has an outcome of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from ...channels.entry import Entry
from ...channels.position import MAX_OFFSET, Position
from ...errors import ChannelEndedError, InvalidFieldError, TooManyRetainedError
from ...event import Event
from ..epoch import new_epoch
from ..values import PLAIN, Terms
from .rows import ENTRY_COLUMNS, ChannelState, entry_from_row, parse_channel

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from ..once import OnceLog
    from ..values import Retention, RetentionPolicy
    from .schema import Mark

__all__ = ["Append", "Batch", "OpenChannel", "Outcome"]

Append: TypeAlias = tuple[str, Event, Terms]
"""The channel, the event, and what is to be done beside storing it."""

Outcome: TypeAlias = Entry | ChannelEndedError | TooManyRetainedError
"""What an append returns or raises."""


# The columns of a plain entry.
_Row: TypeAlias = tuple[int, int, float, str | None, str | None, int | None, str]


class OpenChannel:
    """
    A channel while events are appended to it.

    Attributes:
        id: Of its row.
        name: Its name.
        epoch: Its epoch.
        head: The offset of its last entry.
        began: The offset after which its present life began.
        has_ended: Whether the last entry is its end.
        retention: How much is kept of it.
    """

    __slots__ = (
        "_first",
        "began",
        "epoch",
        "has_ended",
        "head",
        "id",
        "name",
        "retention",
    )

    def __init__(
        self, channel_id: int, name: str, state: ChannelState, retention: Retention
    ) -> None:
        self.id = channel_id
        self.name = name
        self.epoch = state.head.epoch
        self.head = self._first = state.head.offset
        self.began = state.began
        self.has_ended = state.has_ended
        self.retention = retention

    @property
    def has_new(self) -> bool:
        """Whether something was appended."""
        return self.head != self._first


class Batch:
    """
    Appends events.

    Args:
        connection: In a transaction that writes.
        path: The file, as the log names it.
        now: The time.
        epoch: The epoch of channels without a row.
        retention: How much is kept of each channel.
        once: Logs damage.

    Attributes:
        entries: What was added, in order.
        last_mark: What tells the last of them from others, after :meth:`finish`.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        path: Path,
        now: float,
        epoch: str,
        retention: RetentionPolicy,
        once: OnceLog,
    ) -> None:
        self._connection = connection
        self._path = path
        self._now = now
        self._epoch = epoch
        self._retention = retention
        self._once = once
        self._channels: dict[str, OpenChannel] = {}
        self._rows: list[_Row] = []
        self.entries: list[Entry] = []
        self.last_mark: Mark | None = None

    def add(self, name: str, event: Event, terms: Terms) -> Outcome:
        """
        Append an event.

        Args:
            name: The channel.
            event: The event.
            terms: What is to be done beside storing it.

        Returns:
            The entry, or the error that the caller gets.
        """
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = self._open(name)
        if terms is not PLAIN and (outcome := self._known_or_refused(channel, terms)):
            return outcome
        if channel.has_ended:
            return ChannelEndedError(name)
        channel.head = offset = channel.head + 1
        now, is_end, key = self._now, terms.is_end, terms.retain_as
        entry = Entry(name, Position(channel.epoch, offset), event, now, is_end, key)
        self.entries.append(entry)
        row = (
            channel.id,
            offset,
            now,
            event.type,
            event.id,
            event.retry_ms,
            event.data,
        )
        if terms is PLAIN:
            self._rows.append(row)
        else:
            self._store(channel, row, terms)
        return entry

    def _store(self, channel: OpenChannel, row: _Row, terms: Terms) -> None:
        """Store an event that is not plain, with what is to be done beside it."""
        # What was added before it has a lower number.
        self._store_rows()
        self.last_mark = row[:3]
        row_and_terms = (*row, terms.is_end or None, terms.retain_as)
        self._connection.execute(
            "INSERT INTO entry (channel_id, offset, published_at, type, event_id,"
            " retry_ms, data, is_end, retained_as, idempotency_key)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row_and_terms, terms.idempotency_key),
        )
        if terms.retain_as is not None:
            self._connection.execute(
                "INSERT OR REPLACE INTO retained (channel_id, offset, published_at, type,"
                " event_id, retry_ms, data, is_end, retained_as)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row_and_terms,
            )
        if terms.is_end:
            channel.has_ended = True
            self._connection.execute(
                "UPDATE channel SET ended = ? WHERE id = ?", (channel.head, channel.id)
            )

    def finish(self) -> Iterable[OpenChannel]:
        """Store all, and return the channels that have something new."""
        self._store_rows()
        channels = [one for one in self._channels.values() if one.has_new]
        for channel in channels:
            self._connection.execute(
                "UPDATE channel SET head = ?, published_at = ? WHERE id = ?",
                (channel.head, self._now, channel.id),
            )
            self._connection.execute(
                "DELETE FROM entry WHERE channel_id = ? AND offset <= ?",
                (channel.id, channel.head - channel.retention.events),
            )
        return channels

    def _store_rows(self) -> None:
        if not self._rows:
            return
        self._connection.executemany(
            "INSERT INTO entry (channel_id, offset, published_at, type, event_id,"
            " retry_ms, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
            self._rows,
        )
        self.last_mark = self._rows[-1][:3]
        self._rows.clear()

    def _open(self, name: str) -> OpenChannel:
        row = self._connection.execute(
            "SELECT id, epoch, head, began, ended FROM channel WHERE name = ?", (name,)
        ).fetchone()
        retention = self._retention.of(name)
        if row is None:
            # No RETURNING, which SQLite has from 3.35 on: some systems have older ones.
            channel_id = self._connection.execute(
                "INSERT INTO channel (name, epoch, head, published_at) VALUES (?, ?, 0, ?)",
                (name, self._epoch, self._now),
            ).lastrowid
            assert channel_id is not None  # noqa: S101 - a row was inserted
            state = ChannelState(Position(self._epoch, 0))
            return OpenChannel(channel_id, name, state, retention)
        channel_id, *columns = row
        try:
            state = parse_channel(*columns)
            _check_head(self._connection, channel_id, state.head.offset)
        except InvalidFieldError as error:
            # Refusing would fail the whole batch, and so what is published elsewhere.
            self._once.skipped(
                name, "its damaged row, it begins anew", f"{self._path}: {error}"
            )
            state = _begin_anew(self._connection, channel_id)
        return OpenChannel(channel_id, name, state, retention)

    def _known_or_refused(self, channel: OpenChannel, terms: Terms) -> Outcome | None:
        """Return the entry that has the idempotency key, or why there is none to be."""
        key = terms.idempotency_key
        if key is not None and (known := self._known(channel, key)):
            return known
        if terms.retain_as is None or channel.has_ended:
            return None
        count, has_key = self._connection.execute(
            "SELECT count(*), sum(retained_as = ?) FROM retained WHERE channel_id = ?",
            (terms.retain_as, channel.id),
        ).fetchone()
        limit = channel.retention.retained_keys
        if count >= limit and not has_key:
            return TooManyRetainedError(channel.name, limit)
        return None

    def _known(self, channel: OpenChannel, key: str) -> Entry | None:
        """Return the newest entry with an idempotency key that is still in history."""
        retention = channel.retention
        row = self._connection.execute(
            f"SELECT {ENTRY_COLUMNS} FROM entry"  # noqa: S608 - our constant
            " JOIN channel ON channel.id = entry.channel_id"
            " WHERE entry.channel_id = ? AND entry.idempotency_key = ?"
            " AND +entry.offset > ? ORDER BY entry.seq DESC LIMIT 1",
            (channel.id, key, max(channel.began, channel.head - retention.events)),
        ).fetchone()
        if row is None:
            return None
        try:
            entry = entry_from_row(row)
        except InvalidFieldError as error:
            detail = f"{self._path}: {error}"
            self._once.skipped(channel.name, "a damaged entry of a repeated key", detail)
            return None
        # It may not have been removed yet. A time in the future says nothing.
        age = self._now - entry.published_at
        return entry if age <= retention.seconds else None


def _check_head(connection: sqlite3.Connection, channel_id: int, head: int) -> None:
    """Raise if the offset after a channel's head has been given, or is none."""
    if head == MAX_OFFSET:
        raise InvalidFieldError("head", head, "must be below the highest offset")
    row = connection.execute(
        "SELECT offset FROM entry WHERE channel_id = ? AND offset > ?"
        " AND typeof(offset) = 'integer' LIMIT 1",
        (channel_id, head),
    ).fetchone()
    if row is not None:
        raise InvalidFieldError("head", head, f"must not be below the offset {row[0]}")


def _begin_anew(connection: sqlite3.Connection, channel_id: int) -> ChannelState:
    epoch = new_epoch()
    for table in ("entry", "retained"):
        connection.execute(
            f"DELETE FROM {table} WHERE channel_id = ?",  # noqa: S608 - as above
            (channel_id,),
        )
    connection.execute(
        "UPDATE channel SET epoch = ?, head = 0, began = 0, ended = 0 WHERE id = ?",
        (epoch, channel_id),
    )
    return ChannelState(Position(epoch, 0))
