"""
One connection to the file, and its transactions. Used from one thread at a time.

The connection is opened when it is first needed. After an error, and when the file at the
path has become another, the next transaction connects anew.
"""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ... import native
from ...errors import BrokerUnavailableError, ConfigError
from .failures import failure, is_lock, lacks_access
from .private_files import PRIVATE, limit_rights, make_file
from .schema import ensure_schema, has_additions, read_state, renew_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Connection"]

_Result = TypeVar("_Result")

_LARGEST_INTEGER = 2**63 - 1

# How long to wait for another process that writes, and how long between two tries.
# SQLite's own waiting backs off to 100 ms and is unfair to whoever came first.
_LOCK_TIMEOUT_SECONDS = 5.0
_LOCK_RETRY_SECONDS = 0.001

# SQLite makes the files beside the database with the rights that the umask leaves, and adds
# those of the group a moment later. A process of another user that connects in between
# cannot write them. How long to connect again, and the longest time between two tries.
_ACCESS_TIMEOUT_SECONDS = 1.0
_ACCESS_RETRY_SECONDS = 0.02

# What the write-ahead log is cut down to after a burst.
_LOG_BYTES = 8 * 1024 * 1024


class Connection:
    """
    A connection that opens, and opens again, by itself.

    Args:
        path: The file, absolute; made if it is missing.
        mode: The rights that the file gives, see :mod:`.private_files`.
        lock_timeout_seconds: How long a transaction waits for another process that writes.

    Attributes:
        path: The file.
        on_connected: Called with each new connection to SQLite and the file's random name,
            before the first transaction; :obj:`None` for nobody.
    """

    def __init__(
        self,
        path: Path,
        *,
        mode: int = PRIVATE,
        lock_timeout_seconds: float = _LOCK_TIMEOUT_SECONDS,
    ) -> None:
        self.path = path
        self.on_connected: Callable[[sqlite3.Connection, str], None] | None = None
        self._mode = mode
        self._lock_timeout_seconds = lock_timeout_seconds
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None

    def check(self) -> None:
        """
        Connect before it is needed, and make the file if it is missing.

        What is wrong and may pass is not reported: the first call tries again.

        Raises:
            ConfigError: The file cannot be trusted or used, and that will not pass.
        """
        try:
            self.connected()
        except (sqlite3.Error, OSError, ConfigError) as error:
            self._discard()
            problem = failure(error, self.path, self._mode)
            if isinstance(problem, ConfigError):
                raise problem from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """
        Open a transaction that no other process writes beside.

        Raises:
            BrokerUnavailableError: The file cannot be written now. Nothing was stored.
            ConfigError: It cannot be written, and that will not pass. Nothing was stored.
        """
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """
        Open a transaction that reads. Its first statement takes one snapshot for all.

        Raises:
            BrokerUnavailableError: The file cannot be read. Those who read wait, also for
                somebody who mends it.
        """
        try:
            with self._transaction("BEGIN") as connection:
                yield connection
        except ConfigError as error:
            reason = "; ".join(error.problems).removeprefix(f"{self.path}: ")
            raise BrokerUnavailableError(str(self.path), reason) from error

    def connected(self) -> sqlite3.Connection:
        """
        Return the connection to what is at the path now.

        Raises:
            sqlite3.Error: SQLite cannot open it.
            ConfigError: It cannot be trusted.
            OSError: It cannot be looked at or made.
        """
        if self._connection is not None and self._inode == _inode(self.path):
            return self._connection
        self.close()
        self._connection = self._when_accessible(self._connect)
        return self._connection

    def close(self) -> None:
        """Close the connection. It opens again when it is needed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            connection = self.connected()
            self._when_unlocked(lambda: connection.execute(begin))
            try:
                yield connection
                self._when_unlocked(lambda: connection.execute("COMMIT"))
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OSError, ConfigError) as error:
            is_old = isinstance(error, sqlite3.OperationalError) and self._is_old()
            self._discard()
            if is_old:
                # The next call connects anew, which adds what is missing.
                reason = f"a copy of a former release was put back: {error}"
                raise BrokerUnavailableError(str(self.path), reason) from error
            raise failure(error, self.path, self._mode) from error

    def _is_old(self) -> bool:
        if self._connection is None:
            return False
        try:
            return not has_additions(self._connection)
        except sqlite3.Error:
            return False  # the first error tells more

    def _discard(self) -> None:
        try:
            self.close()
        except sqlite3.Error:
            # What made it unusable was reported; the next call connects anew.
            self._connection = None

    def _connect(self) -> sqlite3.Connection:
        real = make_file(self.path, self._mode)
        inode = _inode(self.path)
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
            # Before anything else, since it writes nothing into a file of another program.
            # The rights are limited before there is anything to read.
            ensure_schema(connection)
            limit_rights(real, self._mode)
            connection.execute("PRAGMA journal_mode = WAL")
            # In WAL mode this survives kill -9 of any process; FULL would add only the
            # loss of power, for an fsync per commit.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            _check_writable(connection)
            state = read_state(connection)
            if inode is not None and renew_copy(connection, inode[1]):
                state = read_state(connection)
            if self.on_connected is not None:
                self.on_connected(connection, state.file_id)
        except BaseException:
            connection.close()
            raise
        self._inode = inode
        return connection

    def _when_accessible(self, function: Callable[[], _Result]) -> _Result:
        deadline = time.monotonic() + _ACCESS_TIMEOUT_SECONDS
        while True:
            try:
                return self._when_unlocked(function)
            except sqlite3.OperationalError as error:
                if not lacks_access(error) or time.monotonic() > deadline:
                    raise
            # At random: SQLite opens the -shm again once no connection of this process has
            # it, so two connections must not take turns.
            time.sleep(random.uniform(0, _ACCESS_RETRY_SECONDS))  # noqa: S311 - no secret

    def _when_unlocked(self, function: Callable[[], _Result]) -> _Result:
        deadline = time.monotonic() + self._lock_timeout_seconds
        while True:
            try:
                return function()
            except sqlite3.OperationalError as error:
                if not is_lock(error) or time.monotonic() > deadline:
                    raise
            native.original("time", "sleep")(_LOCK_RETRY_SECONDS)


def _check_writable(connection: sqlite3.Connection) -> None:
    """
    Raise if the connection can only read.

    SQLite connects if it may only read the -shm. Such a connection stays as it is, and the
    others of this process share its -shm, so appends would fail until all are closed.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        # Another process writes, which is found out after the right to do so.
        if not is_lock(error):
            raise
    else:
        connection.execute("ROLLBACK")


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    # Some file systems number with 64 bits; SQLite has 63 for them.
    return status.st_dev, status.st_ino & _LARGEST_INTEGER
