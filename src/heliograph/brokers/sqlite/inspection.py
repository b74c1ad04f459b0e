"""
Inspect a file that others use, and change nothing. See :mod:`..inspection`.

The file is neither made nor upgraded, and no doorbell is rung. It is opened for reading and
writing all the same, with ``PRAGMA query_only``: a connection that may only read would
leave a ``-wal`` and a ``-shm`` behind where nobody else has the file open.
"""

from __future__ import annotations

import math
import sqlite3
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...channels.names import is_internal
from ...errors import ConfigError, InvalidFieldError
from ...logs import Logger
from ..inspection import ChannelSummary, Inspection
from ..once import OnceLog
from .doorbell import count_bells
from .failures import failure
from .rows import ENTRY_COLUMNS, entry_from_row, is_text, parse_channel
from .schema import require_schema
from .trust import check_files
from .worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence

    from ...channels.entry import Entry
    from .rows import ChannelState

__all__ = ["inspecting"]

_log = Logger("heliograph.brokers.sqlite")

# Channels of one transaction: publishers are not delayed by it, but the write-ahead log
# cannot be emptied meanwhile.
_CHANNELS_AT_ONCE = 100

# How long to wait while another process has the whole file locked, as it does to recover.
_LOCK_TIMEOUT_SECONDS = 5.0

# Of text that is long, older libraries have to load all to count its bytes.
_BYTES = (
    "octet_length(data)"
    if sqlite3.sqlite_version_info >= (3, 43)
    else "length(CAST(data AS BLOB))"
)

_CHANNEL_COLUMNS = "id, name, epoch, head, began, ended"

# The plain column is that of the row with the least offset: SQLite takes it from there.
_HISTORY = (
    f"SELECT count(*), total({_BYTES}), min(offset), published_at FROM entry"  # noqa: S608 - our constant
    " WHERE channel_id = ? AND offset > ? AND offset <= ?"
)
_RETAINED = (
    f"SELECT count(*), total({_BYTES}) FROM retained"  # noqa: S608 - our constant
    " WHERE channel_id = ? AND offset > ? AND offset <= ?"
)


@asynccontextmanager
async def inspecting(path: Path, *, mode: int) -> AsyncIterator[Inspection]:
    """
    Inspect a file.

    Args:
        path: The file, absolute.
        mode: The rights that it should give.

    Raises:
        ConfigError: There is no such file, or it cannot be trusted or used.
        BrokerUnavailableError: It cannot be used now.
    """
    file = _File(path, mode)
    thread = Worker("heliograph-sqlite-inspect", file.close)
    try:
        await thread.run(file.open)
        yield _SqliteInspection(file, thread)
    finally:
        await thread.run(file.close)
        thread.close()


class _Page(NamedTuple):
    summaries: list[ChannelSummary]
    # Where the next page begins; nothing if this is the last.
    following: bytes | None


class _SqliteInspection(Inspection):
    def __init__(self, file: _File, thread: Worker) -> None:
        self._file = file
        self._thread = thread

    async def channels(self, prefix: str = "") -> AsyncGenerator[ChannelSummary, None]:
        # No channel has a name with surrogates.
        following: bytes | None = prefix.encode(errors="surrogatepass")
        while following is not None:
            page = await self._thread.run(self._file.page, prefix, following)
            for summary in page.summaries:
                yield summary
            following = page.following

    async def channel(self, name: str) -> ChannelSummary | None:
        return await self._thread.run(self._file.channel, name)

    async def newest(self, name: str, limit: int) -> Sequence[Entry]:
        return await self._thread.run(self._file.newest, name, limit)

    async def processes(self) -> int | None:
        return await self._thread.run(self._file.processes)


class _File:
    """The file, used by one thread."""

    def __init__(self, path: Path, mode: int) -> None:
        self._path = path
        self._mode = mode
        self._connection: sqlite3.Connection | None = None
        self._once = OnceLog(_log)

    def open(self) -> None:
        with self._reading():
            pass

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def page(self, prefix: str, first: bytes) -> _Page:
        with self._reading() as connection:
            # Names as bytes: another program may have written some that are no UTF-8. In
            # SQLite they are in the order of their bytes, with all others behind them.
            rows = connection.execute(
                f"SELECT {_CHANNEL_COLUMNS} FROM channel"  # noqa: S608 - our constant
                " WHERE name >= CAST(? AS TEXT) AND typeof(name) = 'text'"
                " ORDER BY name LIMIT ?",
                (first, _CHANNELS_AT_ONCE),
            ).fetchall()
            ours = [row for row in rows if row[1].startswith(prefix)]
            summaries = [
                self._summary(connection, row)
                for row in ours
                if is_text(row[1]) and not is_internal(row[1])
            ]
        following = None
        if len(ours) == _CHANNELS_AT_ONCE:
            # The least name that is greater.
            following = ours[-1][1].encode(errors="surrogateescape") + b"\0"
        return _Page([one for one in summaries if one is not None], following)

    def channel(self, name: str) -> ChannelSummary | None:
        with self._reading() as connection:
            row = self._row(connection, name)
            return None if row is None else self._summary(connection, row)

    def newest(self, name: str, limit: int) -> list[Entry]:
        with self._reading() as connection:
            row = self._row(connection, name)
            state = None if row is None else self._state(row)
            if state is None:
                return []
            rows = connection.execute(
                f"SELECT {ENTRY_COLUMNS} FROM channel"  # noqa: S608 - our constant
                " JOIN entry ON entry.channel_id = channel.id"
                " WHERE channel.name = ? AND entry.offset > ? AND entry.offset <= ?"
                " ORDER BY entry.offset DESC LIMIT ?",
                (name, state.began, state.head.offset, limit),
            ).fetchall()
        entries = []
        for row in reversed(rows):
            try:
                entries.append(entry_from_row(row))
            except InvalidFieldError as error:
                detail = f"the first is {row[2]}: {error} ({self._path})"
                self._once.skipped(name, "damaged entries", detail)
        return entries

    def processes(self) -> int | None:
        return count_bells(Path(f"{self._path}-bells"), self._mode)

    @staticmethod
    def _row(connection: sqlite3.Connection, name: str) -> tuple[object, ...] | None:
        row: tuple[object, ...] | None = connection.execute(
            f"SELECT {_CHANNEL_COLUMNS} FROM channel WHERE name = ?",  # noqa: S608 - our constant
            (name,),
        ).fetchone()
        return row

    def _state(self, row: tuple[object, ...]) -> ChannelState | None:
        _, name, *columns = row
        try:
            return parse_channel(*columns)
        except InvalidFieldError as error:
            detail = f"{self._path}: {error}"
            self._once.skipped(str(name), "its damaged row", detail)
            return None

    def _summary(
        self, connection: sqlite3.Connection, row: tuple[object, ...]
    ) -> ChannelSummary | None:
        state = self._state(row)
        if state is None:
            return None
        which = row[0], state.began, state.head.offset
        events, size, _, oldest_at = connection.execute(_HISTORY, which).fetchone()
        retained, retained_size = connection.execute(_RETAINED, which).fetchone()
        is_time = isinstance(oldest_at, float) and math.isfinite(oldest_at)
        return ChannelSummary(
            name=str(row[1]),
            head=state.head,
            events=events,
            oldest_at=oldest_at if is_time else None,
            retained=retained,
            size_bytes=int(size + retained_size),
            has_ended=state.has_ended,
            # A doorbell tells that a process has the file open, not what it listens to.
            listeners=None,
        )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that reads one snapshot."""
        try:
            # Not once: before a fork the connection is closed.
            if self._connection is None:
                self._connection = self._connect()
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        except (sqlite3.Error, OSError) as error:
            raise failure(error, self._path, self._mode) from error

    def _connect(self) -> sqlite3.Connection:
        real = check_files(self._path, self._mode)
        if not real.exists():
            problem = (
                f"{self._path}: there is no such file; write the path that the application"
                " uses: sqlite:////absolute/path, or sqlite:///path from the current folder"
            )
            raise ConfigError([problem])
        # "rw": SQLite makes no file if this one was removed since.
        connection = sqlite3.connect(
            f"{real.as_uri()}?mode=rw",
            uri=True,
            timeout=_LOCK_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        # As in connection.py.
        connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        try:
            connection.execute("PRAGMA query_only = ON")
            require_schema(connection)
        except BaseException:
            connection.close()
            raise
        return connection
