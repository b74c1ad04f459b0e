"""
The tables of the file, and the values in their rows.

``entry.seq`` numbers all entries of the file in the order of their commits and is never
given twice, so "what is new" is one range scan whatever the channel. Trimming always
removes a prefix: of one channel by number, of ``seq`` by age. So what is left of a
channel is dense, even if the clock was set back.

``meta.epoch`` is the epoch of channels that have no row yet. All channels that begin
between two renewals share it, which keeps the ids of many channels short. It is renewed
when rows of channels are forgotten, so that a name that is used again has another epoch.

Other programs can write anything into a column, so every value that is read is checked.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ...channels.entry import Entry
from ...channels.position import MAX_OFFSET, Position
from ...errors import InvalidFieldError
from ...event import Event
from ..epoch import new_epoch
from .failures import ForeignFileError

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "ENTRY_COLUMNS",
    "FileState",
    "Mark",
    "Row",
    "ensure_schema",
    "entry_from_row",
    "read_head",
    "read_mark",
    "read_state",
    "renew_copy",
    "renew_epochs",
]

# "heli": distinguishes our files from those of other programs.
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

ENTRY_COLUMNS = (
    "channel.name, channel.epoch, entry.offset, entry.published_at,"
    " entry.type, entry.event_id, entry.retry_ms, entry.data"
)
"""What :func:`entry_from_row` expects, of ``channel`` joined with ``entry``."""

Row: TypeAlias = tuple[Any, Any, Any, Any, Any, Any, Any, Any]
"""One row of :data:`ENTRY_COLUMNS`. The values may be of any type that SQLite has."""

Mark: TypeAlias = tuple[int, int, float]
"""The id of the channel, the offset and the time of an entry."""


def ensure_schema(connection: sqlite3.Connection) -> None:
    """
    Make the tables if the file is empty.

    Args:
        connection: A new connection, outside of a transaction.

    Raises:
        ForeignFileError: The file is another program's, or has the layout of another
            version. Nothing was written.
    """
    if _has_schema(connection):
        return
    # Only has an effect before the first table. Space is given back in small steps then.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Checked again under the lock: another process may have been first.
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


def renew_copy(connection: sqlite3.Connection, inode: int) -> bool:
    """
    Begin new epochs if the file is a copy that was put back.

    A copy would give the same offsets a second time, to other events. It has another inode
    than the file remembers. The number of the device is not compared, since it may change
    with a reboot.

    Args:
        connection: A new connection, outside of a transaction.
        inode: The file's inode.

    Returns:
        Whether it is one.
    """
    if connection.execute("SELECT 1 FROM meta WHERE inode = ?", (inode,)).fetchone():
        return False
    connection.execute("BEGIN IMMEDIATE")
    (known,) = connection.execute("SELECT inode FROM meta").fetchone()
    is_copy = known not in (0, inode)
    if is_copy:
        renew_epochs(connection)
    connection.execute("UPDATE meta SET inode = ?", (inode,))
    connection.execute("COMMIT")
    return is_copy


def renew_epochs(connection: sqlite3.Connection) -> None:
    """
    Renew the epochs of all channels, and the random name of the file.

    Args:
        connection: In a transaction that writes.
    """
    epoch = new_epoch()
    connection.execute("UPDATE channel SET epoch = ?", (epoch,))
    connection.execute("UPDATE meta SET epoch = ?, file_id = ?", (epoch, new_epoch()))


class FileState(NamedTuple):
    """
    Which file it is, and how much was ever stored in it.

    Attributes:
        file_id: The random name of the file, which a copy that was put back does not keep.
        last_seq: The highest ``entry.seq`` that was ever given; 0 before the first entry.
        epoch: The epoch of channels without a row.
    """

    file_id: str
    last_seq: int
    epoch: str


def read_state(connection: sqlite3.Connection) -> FileState:
    """
    Return the state of the file.

    Args:
        connection: A connection to a file that has the tables.

    Raises:
        ForeignFileError: What it says about itself is damaged.
    """
    row = connection.execute(
        "SELECT file_id, epoch,"
        " (SELECT seq FROM sqlite_sequence WHERE name = 'entry'),"
        " EXISTS (SELECT 1 FROM entry WHERE seq = ?) FROM meta",
        (MAX_OFFSET,),
    ).fetchone()
    file_id, epoch, last_seq, has_highest = row or ("", None, None, False)
    try:
        # The last seq is a number from 0 to the highest offset, too.
        start = Position.parse(epoch, 0 if last_seq is None else last_seq)
        if has_highest or start.offset == MAX_OFFSET:
            # No number is left, and SQLite would call the disk full with each event.
            raise InvalidFieldError(  # noqa: TRY301 - handled as other damage
                "seq", MAX_OFFSET, "must be below the highest number"
            )
    except InvalidFieldError as error:
        raise ForeignFileError(f"the file is damaged: {error}; remove it") from error
    return FileState(str(file_id), start.offset, start.epoch)


def read_mark(connection: sqlite3.Connection, seq: int) -> Mark | None:
    """
    Return what tells an entry from another one that has its number.

    Args:
        connection: A connection to a file that has the tables.
        seq: The number.

    Returns:
        :obj:`None` if there is no entry with that number, or a damaged one.
    """
    row = connection.execute(
        "SELECT channel_id, offset, published_at FROM entry WHERE seq = ?", (seq,)
    ).fetchone()
    match row:
        case (int(), int(), float(published_at)) if math.isfinite(published_at):
            return (*row,)
    return None


def read_head(connection: sqlite3.Connection, channel: str) -> tuple[Position, str | None]:
    """
    Return the newest position of a channel.

    Args:
        connection: A connection to a file that has the tables.
        channel: A valid name; one without a row is at offset 0.

    Returns:
        The position, and what is wrong with the channel's row; :obj:`None` if nothing is. A
        channel with a damaged row has no history. It begins anew with its next event, in
        another epoch.
    """
    row = connection.execute(
        "SELECT epoch, head FROM channel WHERE name = ?"
        " UNION ALL SELECT epoch, 0 FROM meta",
        (channel,),
    ).fetchone()
    try:
        return Position.parse(*row), None
    except InvalidFieldError as error:
        return Position(read_state(connection).epoch, 0), str(error)


def entry_from_row(row: Row) -> Entry:
    """
    Return the entry that a row holds.

    Args:
        row: The values of :data:`ENTRY_COLUMNS`.

    Raises:
        InvalidFieldError: The row is damaged.
    """
    channel, epoch, offset, published_at, type_, event_id, retry_ms, data = row
    if not isinstance(published_at, float) or not math.isfinite(published_at):
        raise InvalidFieldError("published_at", published_at, "must be a time in seconds")
    event = Event(data, type=type_, id=event_id, retry_ms=retry_ms)
    return Entry(channel, Position.parse(epoch, offset), event, published_at)


def _has_schema(connection: sqlite3.Connection) -> bool:
    """Return whether the file is ours and not empty; raise if it is another program's."""
    # In this order: what another process commits between them is seen by those that follow.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not tables and not application_id:
        return False
    if application_id != _APPLICATION_ID:
        raise ForeignFileError("a database of another program; write another path")
    if version != _SCHEMA_VERSION:
        raise ForeignFileError(
            f"has layout {version}, this version of Heliograph knows {_SCHEMA_VERSION};"
            " write another path, or use the version that made it"
        )
    return True
