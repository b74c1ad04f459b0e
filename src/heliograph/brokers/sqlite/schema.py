"""
The tables of the file, and what it says about itself.

``entry.seq`` numbers all entries of the file in the order of their commits and is never
given twice, so "what is new" is one range scan whatever the channel. Trimming always
removes a prefix: of one channel by number, of ``seq`` or of one channel by age. So what is
left of a channel is dense, even if the clock was set back.

``meta.epoch`` is the epoch of channels that have no row yet (:mod:`.lives`).

A retained entry is a copy in a table of its own, which trimming spares. ``channel.began``
is the offset after which the present life of the channel began; rows of a former life are
read by listeners only, until they are trimmed. ``channel.ended`` is the offset of the last
end: the channel has ended while that is its head and after ``began``. So an event of the
last release, which knows of no end, opens the channel again.

What the last release does not know was added without another number of the layout, so that
its processes work on with plain events: columns that have a default, tables, and a trigger
that also runs in its processes.

Other programs can write anything into a column, so every value that is read is checked
(:mod:`.rows`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ...channels.position import MAX_OFFSET, Position
from ...errors import InvalidFieldError
from ..epoch import new_epoch
from .failures import ForeignFileError

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "FileState",
    "Mark",
    "ensure_schema",
    "has_additions",
    "read_mark",
    "read_state",
    "renew_copy",
    "renew_epochs",
    "require_schema",
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

# Made in new files, and added to those of the last release. ADD COLUMN changes no row.
_ADDITIONS = (
    "ALTER TABLE channel ADD COLUMN began INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE channel ADD COLUMN ended INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE entry ADD COLUMN is_end INTEGER",
    "ALTER TABLE entry ADD COLUMN retained_as TEXT",
    "ALTER TABLE entry ADD COLUMN idempotency_key TEXT",
    """
    CREATE INDEX entry_idempotency_key ON entry (channel_id, idempotency_key)
        WHERE idempotency_key IS NOT NULL""",
    """
    CREATE TABLE retained (
        channel_id INTEGER NOT NULL REFERENCES channel (id),
        retained_as TEXT NOT NULL,
        offset INTEGER NOT NULL,
        published_at REAL NOT NULL,
        type TEXT,
        event_id TEXT,
        retry_ms INTEGER,
        data TEXT NOT NULL,
        is_end INTEGER,
        UNIQUE (channel_id, retained_as),
        UNIQUE (channel_id, offset)
    )""",
    "CREATE TABLE forgotten (bucket INTEGER PRIMARY KEY, epoch TEXT NOT NULL)",
    # The last release forgets channels, too, and their ids are given again.
    """
    CREATE TRIGGER channel_deleted AFTER DELETE ON channel
        BEGIN DELETE FROM retained WHERE channel_id = OLD.id; END""",
)

# Made last, so that it shows that all of them are there.
_HAS_ADDITIONS = "SELECT 1 FROM sqlite_master WHERE name = 'channel_deleted'"

Mark: TypeAlias = tuple[int, int, float]
"""The id of the channel, the offset and the time of an entry."""


def ensure_schema(connection: sqlite3.Connection) -> None:
    """
    Make the tables if the file is empty, and add to those of the last release.

    Args:
        connection: A new connection, outside of a transaction.

    Raises:
        ForeignFileError: The file is another program's, or has the layout of another
            version. Nothing was written.
    """
    has_schema = _has_schema(connection)
    if has_schema and has_additions(connection):
        return
    if not has_schema:
        # Only has an effect before the first table. Space is given back in small steps.
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
        if not has_additions(connection):
            for statement in _ADDITIONS:
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def require_schema(connection: sqlite3.Connection) -> None:
    """
    Check that a file has the tables of this release, and write nothing.

    Args:
        connection: Any connection.

    Raises:
        ForeignFileError: It has not.
    """
    if not _has_schema(connection):
        raise ForeignFileError(
            "is empty: nothing was ever published to it; write the path that the"
            " application uses"
        )
    if not has_additions(connection):
        raise ForeignFileError(
            "has the tables of an earlier release; an application that uses this release"
            " adds what is missing when it opens the file"
        )


def has_additions(connection: sqlite3.Connection) -> bool:
    """
    Return whether a file has what the last release does not know.

    Args:
        connection: A connection to a file that has the tables, or to an empty one.
    """
    return connection.execute(_HAS_ADDITIONS).fetchone() is not None


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
