"""What the last release before channels had a state did with the file."""

import contextlib
import sqlite3

from heliograph.brokers.epoch import new_epoch

SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA auto_vacuum = INCREMENTAL;
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
PRAGMA application_id = {0x68656C69};
PRAGMA user_version = 1;
"""


class OldRelease:
    """
    A process of the last release, with the statements of its source.

    Its connection stays open, as those of processes that run while others are deployed.
    """

    def __init__(self, path, now):
        is_new = not path.exists()
        self.file = sqlite3.connect(path, isolation_level=None)
        self.now = now
        if is_new:
            path.chmod(0o600)
            self.file.executescript(SCHEMA)
            self.file.execute(
                "INSERT INTO meta (epoch, file_id, inode) VALUES (?, ?, 0)",
                (new_epoch(), new_epoch()),
            )
        # What it refuses: another layout.
        assert self.file.execute("PRAGMA user_version").fetchone() == (1,)

    def close(self):
        self.file.close()

    @contextlib.contextmanager
    def writing(self):
        self.file.execute("BEGIN IMMEDIATE")
        yield
        self.file.execute("COMMIT")

    def append(self, name, data, *, events=100):
        with self.writing():
            row = self.file.execute(
                "SELECT id, epoch, head FROM channel WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                channel_id, head = (
                    self.file.execute(
                        "INSERT INTO channel (name, epoch, head, published_at)"
                        " SELECT ?, epoch, 0, ? FROM meta",
                        (name, self.now),
                    ).lastrowid,
                    1,
                )
            else:
                channel_id, head = row[0], row[2] + 1
            self.file.executemany(
                "INSERT INTO entry (channel_id, offset, published_at, type, event_id,"
                " retry_ms, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(channel_id, head, self.now, None, None, None, data)],
            )
            self.file.execute(
                "UPDATE channel SET head = ?, published_at = ? WHERE id = ?",
                (head, self.now, channel_id),
            )
            self.file.execute(
                "DELETE FROM entry WHERE channel_id = ? AND offset <= ?",
                (channel_id, head - events),
            )
        return head

    def read(self, name):
        return self.file.execute(
            "SELECT entry.offset, entry.data FROM channel"
            " JOIN entry ON entry.channel_id = channel.id"
            " WHERE channel.name = ? ORDER BY entry.offset",
            (name,),
        ).fetchall()

    def forget(self):
        """Its sweep, when all entries are too old, and so are all channels."""
        with self.writing():
            self.file.execute("DELETE FROM entry")
            self.file.execute(
                "DELETE FROM channel WHERE NOT EXISTS"
                " (SELECT 1 FROM entry WHERE entry.channel_id = channel.id)"
            )
            self.file.execute("UPDATE meta SET epoch = ?", (new_epoch(),))
