"""
What is new in the channels that are listened to, in the order of the file.

``entry.seq`` is the order of all entries of all processes. ``_seen`` says how far this
process has come: every entry up to it was added to ``_fresh`` if its channel was listened
to, and none after it. There are two ways to move it, and both add the entries in between in
the same critical section:

* The thread that reads takes a snapshot of the file, and all entries after ``_seen``
  from it.
* The thread that writes offers what it has just committed. This is accepted only if
  ``_seen`` is the number before its first entry: then no other process has an entry in
  between, nor ever will, since numbers are given in order under the lock of the file. If
  it is refused, the file has to be read, as for entries of other processes.

So whichever way an entry takes, ``_fresh`` is in the order of the file, without holes or
doubles. A change of the channels takes its snapshot in the same critical section: an entry
is either in the head that it returns, or is added later.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ... import native
from ...errors import InvalidFieldError
from .restored import Seen
from .schema import ENTRY_COLUMNS, entry_from_row, read_head, read_mark, read_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ...channels.entry import Entry
    from ...channels.position import Position
    from ..once import OnceLog
    from .connection import Connection
    from .restored import HighestSeq
    from .schema import FileState, Row
    from .writing import Commit

__all__ = ["News"]

_LISTEN = "INSERT OR IGNORE INTO temp.listened VALUES (?)"
_UNLISTEN = "DELETE FROM temp.listened WHERE name = ?"

# Entries read at once, and those that may wait before commits are refused: bounds the
# memory of a listener that is behind.
_NEWS_AT_ONCE = 2_000


class News:
    """
    Follows the file from the moment in which a channel is listened to.

    Args:
        connection: Used from the thread that reads, which calls :meth:`change` and
            :meth:`read`. :meth:`offer` is for the thread that writes, :meth:`take` for the
            event loop.
        highest: Notices a copy of the file that was put back.
        once: Logs damage.
    """

    def __init__(self, connection: Connection, highest: HighestSeq, once: OnceLog) -> None:
        self._connection = connection
        self._once = once
        self._highest = highest
        connection.on_connected = self._resume
        # By way of the module, because gevent may have patched it since we were imported.
        self._lock = native.RLock()
        # Entries that are to be handed on, the next one in front.
        self._fresh: deque[Entry] = deque()
        # Up to which ``seq`` the file has been followed, and which file that was.
        self._seen = Seen("", 0, None)
        # Of each channel that is listened to, the head or the last position in _fresh.
        self._handed_on: dict[str, Position] = {}

    def change(self, changes: Sequence[tuple[str, bool]]) -> list[Position | None]:
        """
        Change which channels are included in :meth:`read`, in one transaction.

        Args:
            changes: Names, in order, each with whether it is included from now on.

        Returns:
            For each that is included the channel's head: what comes after it is new. For
            others :obj:`None`.

        Raises:
            BrokerUnavailableError: The file cannot be read. None of them is included.
        """
        heads: list[Position | None] = []
        try:
            with self._connection.reading() as connection, self._lock:
                for channel, is_included in changes:
                    if not is_included:
                        heads.append(None)
                        self._handed_on.pop(channel, None)
                        connection.execute(_UNLISTEN, (channel,))
                        continue
                    if not self._handed_on:
                        self._see(connection, read_state(connection))
                    head = self._handed_on[channel] = self._read_head(connection, channel)
                    heads.append(head)
                    connection.execute(_LISTEN, (channel,))
        except BaseException:
            # Connecting anew makes the table from what is included then.
            with self._lock:
                for channel, _ in changes:
                    self._handed_on.pop(channel, None)
            raise
        return heads

    def read(self) -> bool:
        """
        Read what is new in the channels listened to, for :meth:`take`.

        Returns:
            Whether there was anything; if so, more may be waiting in the file.

        Raises:
            BrokerUnavailableError: The file cannot be read. Nothing is skipped.
            ConfigError: A copy was put back, and the file cannot be written.
        """
        # Before the snapshot, which has it unless a copy was put back.
        highest = self._highest.seen()
        with self._connection.reading() as connection, self._lock:
            state, seen = read_state(connection), self._seen
            if not self._highest.loss(connection, state, highest, seen):
                return self._read_rows(connection, state) if self._handed_on else False
        with self._connection.writing() as connection:
            self._highest.begin_anew(connection, seen)
        return True

    def _read_rows(self, connection: sqlite3.Connection, state: FileState) -> bool:
        if state.file_id != self._seen.file_id:
            # Another process has found that a copy was put back: all of it is new.
            self._seen = Seen(state.file_id, 0, None)
        # Not the length of _fresh, which the loop shortens meanwhile.
        added = 0
        while not added:
            rows = connection.execute(
                f"SELECT entry.seq, channel.head, {ENTRY_COLUMNS}"  # noqa: S608 - our constant
                # CROSS: in this order, or all history of the channels is scanned.
                " FROM entry CROSS JOIN channel ON channel.id = entry.channel_id"
                " WHERE entry.seq > ? AND channel.name IN temp.listened"
                " ORDER BY entry.seq LIMIT ?",
                (self._seen.seq, _NEWS_AT_ONCE),
            ).fetchall()
            added += sum(self._add_row(head, tuple(row)) for _, head, *row in rows)
            full = len(rows) == _NEWS_AT_ONCE
            self._see(connection, state, rows[-1][0] if full else state.last_seq)
            if not full:
                break
        return added > 0

    def _see(
        self, connection: sqlite3.Connection, state: FileState, seq: int | None = None
    ) -> None:
        seq = state.last_seq if seq is None else seq
        if (state.file_id, seq) != self._seen[:2]:
            self._seen = Seen(state.file_id, seq, read_mark(connection, seq))
            self._highest.note(self._seen)

    def offer(self, commit: Commit) -> bool:
        """
        Add what this process has committed, if it is what comes next in the file.

        Does not wait for the thread that reads.

        Args:
            commit: What was committed.

        Returns:
            Whether that is done. If not, the file has to be read.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if not self._handed_on:
                return True
            if (commit.seen.file_id, commit.after_seq) != self._seen[:2]:
                return False
            if len(self._fresh) >= _NEWS_AT_ONCE:
                return False
            for entry in commit.entries:
                if entry.channel in self._handed_on:
                    self._add(entry)
            self._seen = commit.seen
            return True
        finally:
            self._lock.release()

    def take(self, at_most: int) -> list[Entry]:
        """
        Return the entries that are to be handed on next, and forget them.

        Args:
            at_most: How many.

        Returns:
            Entries in the order of the file; none if nothing is new.
        """
        # Others only add at the other end.
        count = min(at_most, len(self._fresh))
        return [self._fresh.popleft() for _ in range(count)]

    def _read_head(self, connection: sqlite3.Connection, channel: str) -> Position:
        head, damage = read_head(connection, channel)
        if damage is not None:
            self._once.skipped(
                channel, "its damaged row", f"{self._connection.path}: {damage}"
            )
        return head

    def _add_row(self, head: object, row: Row) -> bool:
        channel, _, offset, *_ = row
        try:
            entry = entry_from_row(row)
            if isinstance(head, int) and entry.position.offset > head:
                # Handed on, it would make all up to that offset known.
                raise InvalidFieldError(  # noqa: TRY301 - logged as other damage
                    "offset",
                    entry.position.offset,
                    f"the last one of the channel is {head}",
                )
        except InvalidFieldError as error:
            # Left out, so that the others come; the hole that it makes is announced.
            detail = f"the first is {offset}: {error} ({self._connection.path})"
            self._once.skipped(channel, "damaged entries", detail)
            return False
        return self._add(entry)

    def _add(self, entry: Entry) -> bool:
        handed_on = self._handed_on[entry.channel]
        position = entry.position
        # What is in the head with which listening began is not new.
        if position.epoch == handed_on.epoch and position.offset <= handed_on.offset:
            return False
        self._handed_on[entry.channel] = position
        self._fresh.append(entry)
        return True

    def _resume(self, connection: sqlite3.Connection, file_id: str) -> None:
        with self._lock:
            connection.execute("CREATE TEMP TABLE listened (name TEXT PRIMARY KEY)")
            connection.executemany(
                "INSERT INTO temp.listened VALUES (?)",
                [(channel,) for channel in self._handed_on],
            )
            if file_id != self._seen.file_id:
                # Another file: all that is in it is new, whatever its numbers are.
                self._seen = Seen(file_id, 0, None)
