"""What the thread that writes does: store batches of events, and remove what is too old."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...channels.entry import Entry
from ...channels.position import MAX_OFFSET, Position
from ...errors import InvalidFieldError
from ..epoch import new_epoch
from .restored import Seen
from .schema import read_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from ...event import Event
    from ..base import Retention
    from ..once import OnceLog
    from .connection import Connection
    from .restored import HighestSeq

__all__ = ["Commit", "Writer"]

# A row of a channel is worth keeping for a client that reconnects after a holiday.
_FORGET_CHANNEL_SECONDS = 30 * 86_400

# Entries whose age is checked beside each batch: more than a batch adds, so that old
# ones never pile up, and few enough to cost nothing.
_AGED_PER_BATCH = 200

# Entries that one sweep removes: nobody is to wait long for the lock.
_AGED_PER_SWEEP = 2_000


# Unused pages that a file keeps for what is published next: at least so many, or this part
# of all. Beyond that they are given back to the file system, so many in one transaction,
# which takes some milliseconds.
_SPARE_PAGES = 256
_SPARE_PART = 4
_PAGES_AT_ONCE = 256

# What PRAGMA auto_vacuum returns for INCREMENTAL.
_INCREMENTAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """
    What one transaction has stored.

    Args:
        entries: In the order of their ``seq``, which are consecutive numbers.
        after_seq: The highest ``seq`` before the first of them; :obj:`None` if another
            program has interfered with the numbers, so that they are not consecutive.
        seen: The file after that.
    """

    entries: list[Entry]
    after_seq: int | None
    seen: Seen


class Writer:
    """
    Stores and removes entries.

    Args:
        connection: Used from the thread that writes.
        retention: How much history is kept per channel.
        clock: Returns seconds since the epoch of Unix.
        highest: Notices a copy of the file that was put back.
        once: Logs damage.
    """

    def __init__(
        self,
        connection: Connection,
        retention: Retention,
        clock: Callable[[], float],
        highest: HighestSeq,
        once: OnceLog,
    ) -> None:
        self._connection = connection
        self._highest = highest
        self._retention = retention
        self._clock = clock
        self._once = once
        # The file, the last entry with a time that was in the future, and when that was
        # noticed: it counts for retention instead.
        self._ahead = "", 0, 0.0

    def append(self, batch: Sequence[tuple[str, Event]]) -> Commit:
        """
        Store events in one transaction.

        Args:
            batch: Channels and events, in order.

        Returns:
            The entries, in the same order.

        Raises:
            BrokerUnavailableError: None of them is stored.
            ConfigError: Likewise, and none will be until the file is another.
        """
        with self._connection.writing() as connection:
            now = self._clock()
            # Nobody else writes now: what is stored here gets the next numbers.
            state = self._highest.begin_anew(connection)
            heads: dict[str, tuple[int, Position]] = {}
            entries, rows = [], []
            for name, event in batch:
                channel_id, head = heads.get(name) or self._open_channel(
                    connection, name, now, state.epoch
                )
                position = Position(head.epoch, head.offset + 1)
                heads[name] = channel_id, position
                entries.append(Entry(name, position, event, now))
                rows.append(
                    (
                        channel_id,
                        position.offset,
                        now,
                        event.type,
                        event.id,
                        event.retry_ms,
                        event.data,
                    )
                )
            connection.executemany(
                "INSERT INTO entry (channel_id, offset, published_at, type, event_id,"
                " retry_ms, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            last_seq = read_state(connection).last_seq
            for channel_id, head in heads.values():
                connection.execute(
                    "UPDATE channel SET head = ?, published_at = ? WHERE id = ?",
                    (head.offset, now, channel_id),
                )
                connection.execute(
                    "DELETE FROM entry WHERE channel_id = ? AND offset <= ?",
                    (channel_id, head.offset - self._retention.events),
                )
            aged = len(batch) + _AGED_PER_BATCH
            self._trim_aged(connection, now, aged, look_at=aged)
        is_dense = last_seq == state.last_seq + len(rows)
        seen = Seen(state.file_id, last_seq, rows[-1][:3] if is_dense else None)
        self._highest.note(seen)
        return Commit(
            entries=entries, after_seq=state.last_seq if is_dense else None, seen=seen
        )

    def sweep(self) -> bool:
        """
        Remove some of what is too old, and what it has left behind.

        That is channels that have long been silent, and unused space of the file.

        Returns:
            Whether there is more to remove.

        Raises:
            BrokerUnavailableError: The file cannot be written.
        """
        with self._connection.writing() as connection:
            now = self._clock()
            removed = self._trim_aged(
                connection,
                now,
                _AGED_PER_SWEEP,
                look_at=-1,
                ahead=self._old_ahead(connection, now),
            )
            if removed == _AGED_PER_SWEEP:
                return True
            forgotten = connection.execute(
                "DELETE FROM channel WHERE published_at < ? AND NOT EXISTS"
                " (SELECT 1 FROM entry WHERE entry.channel_id = channel.id)",
                (now - max(self._retention.seconds, _FORGET_CHANNEL_SECONDS),),
            ).rowcount
            if forgotten:
                connection.execute("UPDATE meta SET epoch = ?", (new_epoch(),))
            return _shrink(connection)

    def _open_channel(
        self, connection: sqlite3.Connection, name: str, now: float, epoch: str
    ) -> tuple[int, Position]:
        row = connection.execute(
            "SELECT id, epoch, head FROM channel WHERE name = ?", (name,)
        ).fetchone()
        if row is not None:
            channel_id, *position = row
            try:
                head = Position.parse(*position)
                _check_head(connection, channel_id, head.offset)
            except InvalidFieldError as error:
                # Refusing would fail the whole batch, and so what is published elsewhere.
                self._once.skipped(
                    name,
                    "its damaged row, it begins anew",
                    f"{self._connection.path}: {error}",
                )
                return channel_id, _begin_anew(connection, channel_id)
            return channel_id, head
        # No RETURNING, which SQLite has from 3.35 on: supported systems have older ones.
        channel_id = connection.execute(
            "INSERT INTO channel (name, epoch, head, published_at) VALUES (?, ?, 0, ?)",
            (name, epoch, now),
        ).lastrowid
        assert channel_id is not None  # noqa: S101 - a row was inserted
        return channel_id, Position(epoch, 0)

    def _old_ahead(self, connection: sqlite3.Connection, now: float) -> int:
        """Return up to which ``seq`` times in the future are known for too long."""
        file_id = read_state(connection).file_id
        known_file, known_seq, noticed_at = self._ahead
        if file_id != known_file:
            known_seq, noticed_at = 0, now
        seq, published_at = connection.execute(
            "SELECT seq, published_at FROM entry ORDER BY seq DESC LIMIT 1"
        ).fetchone() or (0, now)
        # The clock may have been wrong when it was noticed, too.
        noticed_at = min(noticed_at, now)
        is_old = noticed_at < now - self._retention.seconds
        old = known_seq if is_old else 0
        # A later one while the first waits changes nothing; it has its turn after it.
        if (is_old or not known_seq) and seq > known_seq:
            is_ahead = isinstance(published_at, float) and published_at > now
            known_seq, noticed_at = (seq, now) if is_ahead else (known_seq, noticed_at)
        self._ahead = file_id, known_seq, noticed_at
        return old

    def _trim_aged(
        self,
        connection: sqlite3.Connection,
        now: float,
        at_most: int,
        *,
        look_at: int,
        ahead: int = 0,
    ) -> int:
        """
        Remove entries that are too old, from the first of the file on.

        A clock that was wrong for a while has left times that are not in order. A time in
        the future tells nothing: such an entry is as old as the next one with a time that
        is possible, or as the moment in which a sweep noticed it. Nothing is removed after
        an entry that is not too old, so that a clock that was in the past for a moment
        removes no history.

        Args:
            connection: In a transaction that writes.
            now: The time.
            at_most: How many entries to remove.
            look_at: How many to look at; -1 for all.
            ahead: Up to which ``seq`` a time in the future counts as too old.

        Returns:
            How many were removed.
        """
        oldest_allowed = now - self._retention.seconds
        last_aged = None
        for seq, published_at in connection.execute(
            "SELECT seq, published_at FROM"
            " (SELECT seq, published_at FROM entry ORDER BY seq LIMIT ?)"
            # What is no time was written by another program, and counts as old.
            " WHERE published_at <= ? OR typeof(published_at) != 'real' OR seq <= ?"
            " ORDER BY seq LIMIT ?",
            (look_at, now, ahead, at_most),
        ):
            if isinstance(published_at, float) and oldest_allowed <= published_at <= now:
                break
            last_aged = seq
        if last_aged is None:
            return 0
        return connection.execute(
            "DELETE FROM entry WHERE seq IN"
            " (SELECT seq FROM entry WHERE seq <= ? ORDER BY seq LIMIT ?)",
            (last_aged, at_most),
        ).rowcount


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


def _shrink(connection: sqlite3.Connection) -> bool:
    """Return some unused pages to the file system, and whether there are more of them."""

    def read(name: str) -> int:
        (value,) = connection.execute(f"PRAGMA {name}").fetchone()
        return int(value)

    # Files of former versions have no record of which page is used by which: only VACUUM,
    # which writes them anew as a whole, could make them smaller.
    if read("auto_vacuum") != _INCREMENTAL:
        return False
    spare = max(_SPARE_PAGES, read("page_count") // _SPARE_PART)
    too_many = read("freelist_count") - spare
    if too_many <= 0:
        return False
    for _ in range(min(too_many, _PAGES_AT_ONCE)):
        # One page. Each is a row without a column, after the first of which Python stops.
        connection.execute("PRAGMA incremental_vacuum(1)")
    return too_many > _PAGES_AT_ONCE


def _begin_anew(connection: sqlite3.Connection, channel_id: int) -> Position:
    epoch = new_epoch()
    connection.execute("DELETE FROM entry WHERE channel_id = ?", (channel_id,))
    connection.execute("UPDATE channel SET epoch = ? WHERE id = ?", (epoch, channel_id))
    return Position(epoch, 0)
