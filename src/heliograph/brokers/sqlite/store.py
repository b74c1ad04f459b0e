"""
Channels in an SQLite file: the blocking half, used from one thread at a time.

``entry.seq`` numbers all entries of the file in the order of their commits and is never
given twice, so "what is new" is one range scan whatever the channel. Trimming always
removes a prefix: of one channel by number, of ``seq`` by age. So what is left of a
channel is dense, even if the clock was set back.

``meta.epoch`` is the epoch of channels that have no row yet. All channels that begin
between two renewals share it, which keeps the ids of many channels short. It is renewed
when rows of channels are forgotten, so that a name that comes back has another life.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sqlite3
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ...channels.entry import Entry
from ...channels.position import Position
from ...errors import BrokerUnavailableError, ConfigError, InvalidFieldError
from ...event import Event
from ..base import History, Retention, resolve
from ..epoch import new_epoch
from ..once import OnceLog
from .private_files import PRIVATE, access_problem, has_more_rights, limit_rights, make_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["SqliteStore"]

_Result = TypeVar("_Result")

_log = logging.getLogger("heliograph.brokers.sqlite")

# "heli": tells our files from those of other programs.
_APPLICATION_ID = 0x68656C69
_SCHEMA_VERSION = 1

_SCHEMA = f"""
CREATE TABLE meta (epoch TEXT NOT NULL, file_id TEXT NOT NULL, inode INTEGER NOT NULL);
CREATE TABLE channel (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    head INTEGER NOT NULL,
    published_at REAL NOT NULL
);
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    channel_id INTEGER NOT NULL REFERENCES channel (id),
    offset INTEGER NOT NULL,
    published_at REAL NOT NULL,
    type TEXT,
    event_id TEXT,
    retry_ms INTEGER,
    data TEXT NOT NULL,
    UNIQUE (channel_id, offset)
);
CREATE INDEX entry_event_id ON entry (channel_id, event_id)
    WHERE event_id IS NOT NULL;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_SCHEMA_VERSION};
"""

_ENTRY_COLUMNS = (
    "channel.name, channel.epoch, entry.offset, entry.published_at,"
    " entry.type, entry.event_id, entry.retry_ms, entry.data"
)

_LISTEN = "INSERT OR IGNORE INTO temp.listened VALUES (?)"
_UNLISTEN = "DELETE FROM temp.listened WHERE name = ?"

_LARGEST_INTEGER = 2**63 - 1

# How long to wait for another process that writes, and how long between two tries.
# SQLite's own waiting backs off to 100 ms and is unfair to whoever came first.
_LOCK_TIMEOUT_SECONDS = 5.0
_LOCK_RETRY_SECONDS = 0.001

# A row of a channel is worth keeping for a client that comes back after a holiday.
_FORGET_CHANNEL_SECONDS = 30 * 86_400

# Entries looked at for their age beside each batch: more than a batch adds, so the
# old ones never pile up, and few enough to cost nothing.
_AGED_PER_BATCH = 200

# What the write-ahead log is cut down to after a burst.
_LOG_BYTES = 8 * 1024 * 1024

# Bytes of data that are read at once, or one entry: what a client that catches up costs.
_READ_BYTES = 256 * 1024

# Entries handed on at once: bounds the memory of a listener that has much to catch up.
_NEWS_AT_ONCE = 2_000

# What SQLite says where a right is missing, and not only there.
_NO_ACCESS = {sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}

# As it is written here. Other programs can write anything into a column.
_Row = tuple[Any, Any, Any, Any, Any, Any, Any, Any]


class SqliteStore:
    """
    One connection to the file, opened when it is first needed.

    After an error, and when the file at the path has become another, it connects anew.

    Args:
        path: The file, absolute; made if it is missing.
        retention: How much history is kept per channel.
        clock: Returns seconds since the epoch of Unix.
        mode: The rights that the file gives, see :mod:`.private_files`.
    """

    def __init__(
        self,
        path: Path,
        retention: Retention,
        clock: Callable[[], float],
        *,
        mode: int = PRIVATE,
    ) -> None:
        self._path = path
        self._mode = mode
        self._retention = retention
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._file_id: str | None = None
        # For listeners: up to where the file was read, and each channel handed on.
        self._seen_seq = 0
        self._handed_on: dict[str, Position] = {}
        self._once = OnceLog(_log)

    def check(self) -> None:
        """
        Look at the file, and make it if it is missing, before it is needed.

        Raises:
            ConfigError: It cannot be trusted, or its rights cannot be taken away.
            OSError: It cannot be looked at or made now.
        """
        real = make_file(self._path, self._mode)
        if not has_more_rights(real, self._mode):
            return
        # What else is wrong may pass, and is reported by the first call that needs it.
        with contextlib.suppress(sqlite3.Error):
            self._connected()

    def append(self, batch: Sequence[tuple[str, Event]]) -> list[Entry]:
        """
        Store events in one transaction.

        Args:
            batch: Channels and events, in order.

        Returns:
            Their entries, in the same order.

        Raises:
            BrokerUnavailableError: None of them is stored.
        """
        with self._writing() as connection:
            now = self._clock()
            heads: dict[str, tuple[int, Position]] = {}
            entries, rows = [], []
            for name, event in batch:
                channel_id, head = heads.get(name) or self._open_channel(
                    connection, name, now
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
            for channel_id, head in heads.values():
                connection.execute(
                    "UPDATE channel SET head = ?, published_at = ? WHERE id = ?",
                    (head.offset, now, channel_id),
                )
                connection.execute(
                    "DELETE FROM entry WHERE channel_id = ? AND offset <= ?",
                    (channel_id, head.offset - self._retention.events),
                )
            self._trim_aged(connection, now, len(batch) + _AGED_PER_BATCH)
        return entries

    def sweep(self) -> bool:
        """
        Remove some of what is too old, and forget channels that have long been silent.

        Returns:
            Whether there is more to remove: nobody is to wait long for the lock.

        Raises:
            BrokerUnavailableError: The file cannot be written.
        """
        with self._writing() as connection:
            now = self._clock()
            if self._trim_aged(connection, now, _NEWS_AT_ONCE) == _NEWS_AT_ONCE:
                return True
            forgotten = connection.execute(
                "DELETE FROM channel WHERE published_at < ? AND NOT EXISTS"
                " (SELECT 1 FROM entry WHERE entry.channel_id = channel.id)",
                (now - max(self._retention.seconds, _FORGET_CHANNEL_SECONDS),),
            ).rowcount
            if forgotten:
                connection.execute("UPDATE meta SET epoch = ?", (new_epoch(),))
        return False

    def read(self, channel: str, after: Position | None, limit: int) -> History:
        """Give what follows a position. See :meth:`..base.Broker.read`."""
        with self._reading() as connection:
            head = self._head(connection, channel)
            (oldest,) = connection.execute(
                "SELECT min(offset) FROM entry WHERE channel_id ="
                " (SELECT id FROM channel WHERE name = ?) AND offset BETWEEN 1 AND ?",
                (channel, head.offset),
            ).fetchone()
            offset, gap = resolve(
                after, head, head.offset + 1 if oldest is None else int(oldest)
            )
            rows = connection.execute(
                f"SELECT {_ENTRY_COLUMNS} FROM channel"  # noqa: S608 - our constant
                " JOIN entry ON entry.channel_id = channel.id"
                " WHERE channel.name = ? AND entry.offset > ? AND entry.offset <= ?"
                " ORDER BY entry.offset LIMIT ?",
                (channel, offset, head.offset, limit),
            )
            entries = tuple(self._entries(rows))
        start = Position(head.epoch, offset)
        return History(entries=entries, start=start, head=head, gap=gap)

    def find(self, channel: str, event_id: str) -> Position | None:
        """Give the place of an entry. See :meth:`..base.Broker.find`."""
        with self._reading() as connection:
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

    def change(
        self, changes: Sequence[tuple[str, bool]]
    ) -> list[Position | BrokerUnavailableError | None]:
        """
        Change which channels are included in :meth:`news`, in one transaction.

        Args:
            changes: Names, in order, each with whether it is included from now on.

        Returns:
            For each that is included the channel's head: what comes after it is new; or
            why it is not included after all.

        Raises:
            BrokerUnavailableError: The file cannot be read. None of them is included.
        """
        heads: list[Position | BrokerUnavailableError | None] = []
        try:
            with self._reading() as connection:
                for channel, is_included in changes:
                    if is_included and not self._handed_on:
                        self._seen_seq = self._last_seq(connection)
                    head: Position | BrokerUnavailableError | None = None
                    if is_included:
                        try:
                            head = self._head(connection, channel)
                        except BrokerUnavailableError as error:
                            # A damaged row concerns nobody else.
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

    def news(self) -> list[Entry]:
        """
        Give what is new in the channels listened to.

        Returns:
            Entries in the order of their commits; more may be waiting unless it is
            empty.

        Raises:
            BrokerUnavailableError: The file cannot be read. Nothing is skipped.
        """
        fresh: list[Entry] = []
        with self._reading() as connection:
            while self._handed_on and not fresh:
                last = self._last_seq(connection)
                rows = connection.execute(
                    f"SELECT entry.seq, {_ENTRY_COLUMNS}"  # noqa: S608 - our constant
                    # CROSS: in this order, or all history of the channels is looked at.
                    " FROM entry CROSS JOIN channel ON channel.id = entry.channel_id"
                    " WHERE entry.seq > ? AND channel.name IN temp.listened"
                    " ORDER BY entry.seq LIMIT ?",
                    (self._seen_seq, _NEWS_AT_ONCE),
                ).fetchall()
                for _, *row in rows:
                    self._add_if_new(fresh, tuple(row))
                full = len(rows) == _NEWS_AT_ONCE
                self._seen_seq = rows[-1][0] if full else max(last, self._seen_seq)
                if not full:
                    break
        return fresh

    def close(self) -> None:
        """Close the connection. The store may be used again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _entries(self, rows: Iterable[_Row]) -> Iterator[Entry]:
        size = 0
        for row in rows:
            try:
                entry = _entry(row)
            except InvalidFieldError as error:
                raise BrokerUnavailableError(
                    str(self._path),
                    f"damaged entry {row[2]} in channel {row[0]!r}: {error}",
                ) from error
            yield entry
            size += len(entry.event.data)
            if size > _READ_BYTES:
                return

    def _add_if_new(self, fresh: list[Entry], row: _Row) -> None:
        try:
            entry = _entry(row)
        except InvalidFieldError as error:
            # Left out, so that the others come; the hole that it makes is announced.
            self._once.skipped(row[0], "damaged entries", f"{self._path}: {error}")
            return
        handed_on = self._handed_on[entry.channel]
        position = entry.position
        if position.epoch == handed_on.epoch and position.offset <= handed_on.offset:
            return
        self._handed_on[entry.channel] = position
        fresh.append(entry)

    def _open_channel(
        self, connection: sqlite3.Connection, name: str, now: float
    ) -> tuple[int, Position]:
        row = connection.execute(
            "SELECT id, epoch, head FROM channel WHERE name = ?", (name,)
        ).fetchone()
        if row is not None:
            channel_id, *position = row
            try:
                return channel_id, Position.parse(*position)
            except InvalidFieldError as error:
                # Refusing would fail the whole batch, and so what is published elsewhere.
                self._once.skipped(
                    name, "its damaged row, it begins anew", f"{self._path}: {error}"
                )
                connection.execute("DELETE FROM entry WHERE channel_id = ?", (channel_id,))
                connection.execute(
                    "UPDATE channel SET epoch = ? WHERE id = ?",
                    (epoch := new_epoch(), channel_id),
                )
                return channel_id, Position(epoch, 0)
        cursor = connection.execute(
            "INSERT INTO channel (name, epoch, head, published_at)"
            " SELECT ?, epoch, 0, ? FROM meta RETURNING id, epoch",
            (name, now),
        )
        channel_id, epoch = cursor.fetchone()
        return channel_id, Position(epoch, 0)

    def _head(self, connection: sqlite3.Connection, channel: str) -> Position:
        row = connection.execute(
            "SELECT epoch, head FROM channel WHERE name = ?"
            " UNION ALL SELECT epoch, 0 FROM meta",
            (channel,),
        ).fetchone()
        try:
            return Position.parse(*row)
        except InvalidFieldError as error:
            raise BrokerUnavailableError(
                str(self._path), f"the row of channel {channel!r} is damaged: {error}"
            ) from error

    @staticmethod
    def _last_seq(connection: sqlite3.Connection) -> int:
        row = connection.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'entry'"
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _trim_aged(self, connection: sqlite3.Connection, now: float, at_most: int) -> int:
        oldest_allowed = now - self._retention.seconds
        aged = 0
        for seq, published_at in connection.execute(
            "SELECT seq, published_at FROM entry ORDER BY seq LIMIT ?", (at_most,)
        ):
            # What is no time was written by somebody else, and counts as long ago.
            if isinstance(published_at, float) and published_at >= oldest_allowed:
                break
            aged, last_aged = aged + 1, seq
        if aged:
            connection.execute("DELETE FROM entry WHERE seq <= ?", (last_aged,))
        return aged

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        # One snapshot for all statements inside.
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._connected()
            _when_unlocked(lambda: connection.execute(begin))
            try:
                yield connection
                _when_unlocked(lambda: connection.execute("COMMIT"))
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OSError, ConfigError) as error:
            # Also a file that came later and cannot be trusted: another may come.
            self._discard_connection()
            raise BrokerUnavailableError(str(self._path), self._reason(error)) from error

    def _reason(self, error: Exception) -> str:
        if isinstance(error, OSError):
            return error.strerror or str(error)
        if isinstance(error, ConfigError):
            return "; ".join(error.problems)
        # The low byte is the primary code.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NO_ACCESS:
            problem = access_problem(self._path, self._mode)
            if problem is not None:
                return f"{error}: {problem}"
        return str(error)

    def _discard_connection(self) -> None:
        try:
            self.close()
        except sqlite3.Error:
            # What made it unusable was reported; the next call connects anew.
            self._connection = None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and self._inode == _inode(self._path):
            return self._connection
        self.close()
        self._connection = _when_unlocked(self._connect)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        real = make_file(self._path, self._mode)
        inode = _inode(self._path)
        # "rw": SQLite makes no file if this one was removed since.
        connection = sqlite3.connect(
            f"{real.as_uri()}?mode=rw",
            uri=True,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
        )
        # Text that is no UTF-8 is an error of its row, not one of the query. An event with
        # the surrogates that come of it is refused.
        connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        try:
            # First of all, and it writes nothing into a file of another program. The rights
            # are right before there is anything to read.
            _ensure_schema(connection)
            limit_rights(real, self._mode)
            connection.execute("PRAGMA journal_mode = WAL")
            # In WAL mode this survives kill -9 of any process; FULL would add only the
            # loss of power, for an fsync per commit.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            if inode is not None:
                _renew_copy(connection, inode[1])
            (file_id,) = connection.execute("SELECT file_id FROM meta").fetchone()
            self._resume_listening(connection, file_id)
        except BaseException:
            connection.close()
            raise
        self._inode, self._file_id = inode, file_id
        return connection

    def _resume_listening(self, connection: sqlite3.Connection, file_id: str) -> None:
        connection.execute("CREATE TEMP TABLE listened (name TEXT PRIMARY KEY)")
        connection.executemany(
            "INSERT INTO temp.listened VALUES (?)",
            [(channel,) for channel in self._handed_on],
        )
        if file_id != self._file_id:
            # Another file: all that is in it is new, whatever its numbers are.
            self._seen_seq = 0


def _ensure_schema(connection: sqlite3.Connection) -> None:
    if _has_schema(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Looked at again under the lock: another process may have been first.
        if not _has_schema(connection):
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO meta (epoch, file_id, inode) VALUES (?, ?, 0)",
                (new_epoch(), new_epoch()),
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _has_schema(connection: sqlite3.Connection) -> bool:
    """Return whether the file is ours and not empty; raise if it is another program's."""
    # In this order: what another process commits between them is seen by those that follow.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not tables and not application_id:
        return False
    if application_id != _APPLICATION_ID:
        raise sqlite3.DatabaseError("a database of another program")
    if version != _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(
            f"has layout {version}, this version of Heliograph knows {_SCHEMA_VERSION}"
        )
    return True


def _renew_copy(connection: sqlite3.Connection, inode: int) -> None:
    # A copy that was put back would give offsets a second time: it is another life. The
    # number of the device is not looked at, since it may change with a reboot.
    if connection.execute("SELECT 1 FROM meta WHERE inode = ?", (inode,)).fetchone():
        return
    connection.execute("BEGIN IMMEDIATE")
    (known,) = connection.execute("SELECT inode FROM meta").fetchone()
    if known not in (0, inode):
        epoch = new_epoch()
        connection.execute("UPDATE channel SET epoch = ?", (epoch,))
        connection.execute("UPDATE meta SET epoch = ?, file_id = ?", (epoch, new_epoch()))
    connection.execute("UPDATE meta SET inode = ?", (inode,))
    connection.execute("COMMIT")


def _when_unlocked(function: Callable[[], _Result]) -> _Result:
    deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS
    while True:
        try:
            return function()
        except sqlite3.OperationalError as error:
            if not _is_lock(error) or time.monotonic() > deadline:
                raise
        time.sleep(_LOCK_RETRY_SECONDS)


def _is_lock(error: sqlite3.OperationalError) -> bool:
    # The low byte is the primary code; the others say which lock it was.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    # Some file systems number with 64 bits; SQLite has 63 for them.
    return status.st_dev, status.st_ino & _LARGEST_INTEGER


def _entry(row: _Row) -> Entry:
    channel, epoch, offset, published_at, type_, event_id, retry_ms, data = row
    if not isinstance(published_at, float) or not math.isfinite(published_at):
        raise InvalidFieldError("published_at", published_at, "must be a time in seconds")
    event = Event(data, type=type_, id=event_id, retry_ms=retry_ms)
    return Entry(channel, Position.parse(epoch, offset), event, published_at)
