"""
Storages of our own, and what may happen to each of them.

``FAULTS`` names the methods that do harm, each with a random generator. They block until the
harm is done and undone. ``settle`` waits until one more failure is a single one.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time

from on_redis import RedisCluster, SingleRedis, WatchedRedis


class SqliteFile:
    """A file, and another process that uses it at the same time."""

    FAULTS = (
        "lock",
        "read_long",
        "checkpoint",
        "vacuum",
        "backup",
        "empty_bells",
        "litter",
    )

    def __init__(self, folder, replicas):
        del replicas
        folder.mkdir()
        self.path = folder / "events.sqlite3"
        self.bells = folder / "events.sqlite3-bells"
        self.url = f"sqlite:///{self.path}"

    @contextlib.contextmanager
    def _connection(self):
        connection = sqlite3.connect(self.path, timeout=20, isolation_level=None)
        with contextlib.closing(connection):
            yield connection

    def lock(self, chance):
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(chance.uniform(0.1, 12))
            connection.execute("ROLLBACK")

    def read_long(self, chance):
        with self._connection() as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            time.sleep(chance.uniform(1, 10))

    def checkpoint(self, chance):
        del chance
        with self._connection() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def vacuum(self, chance):
        del chance
        with self._connection() as connection:
            connection.execute("VACUUM")

    def backup(self, chance):
        del chance
        copy = sqlite3.connect(self.path.with_suffix(".backup"))
        with self._connection() as connection, contextlib.closing(copy):
            connection.backup(copy)

    def empty_bells(self, chance):
        del chance
        for path in self.bells.iterdir():
            with contextlib.suppress(OSError):
                path.unlink()

    def litter(self, chance):
        """What a file server of a NAS and a person may leave there."""
        strange = self.bells / "@eaDir"
        with contextlib.suppress(FileExistsError):
            strange.mkdir()
        (self.bells / "notes.txt").write_text("not a bell")
        time.sleep(chance.uniform(1, 5))
        shutil.rmtree(strange, ignore_errors=True)

    def settle(self):
        pass

    def stop(self):
        pass


STORAGES = {
    "sqlite": SqliteFile,
    "redis": SingleRedis,
    "sentinel": WatchedRedis,
    "cluster": RedisCluster,
}
