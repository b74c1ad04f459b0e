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
from typing import TYPE_CHECKING, NamedTuple

from ... import native
from ...channels.position import Position
from ...errors import InvalidFieldError
from .lives import is_beginning
from .restored import Seen
from .rows import ENTRY_COLUMNS, entry_from_row, read_channel
from .schema import read_mark, read_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ...channels.entry import Entry
    from ..once import OnceLog
    from .connection import Connection
    from .restored import HighestSeq
    from .rows import ChannelState, Row
    from .schema import FileState
    from .writing import Commit

__all__ = ["News", "Restart"]

_LISTEN = "INSERT OR IGNORE INTO temp.listened VALUES (?)"
_UNLISTEN = "DELETE FROM temp.listened WHERE name = ?"

# Entries read at once, and those that may wait before commits are refused: bounds the
# memory of a listener that is behind.
_NEWS_AT_ONCE = 2_000


class Restart(NamedTuple):
    """
    The news that a channel continues in another epoch.

    Attributes:
        channel: Its name.
        start: The position after which its entries follow.
        gap: Whether entries before that may be missing.
    """

    channel: str
    start: Position
    gap: bool


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
        # What is to be handed on, the next one in front.
        self._fresh: deque[Entry | Restart] = deque()
        # Up to which ``seq`` the file has been followed, and which file that was.
        self._seen = Seen("", 0, None)
        # Of each channel that is listened to, the head or the last position in _fresh.
        self._handed_on: dict[str, Position] = {}
        # Those of them that have ended with that, each with whether later entries may have
        # been removed before they were read.
        self._ended: dict[str, bool] = {}
        # The ``seq`` after which entries may be of a next life of one of these.
        self._watched_from = 0

    def change(self, changes: Sequence[tuple[str, bool]]) -> list[ChannelState | None]:
        """
        Change which channels are included in :meth:`read`, in one transaction.

        Args:
            changes: Names, in order, each with whether it is included from now on.

        Returns:
            For each that is included the channel's state: what comes after its head is
            new. For others :obj:`None`.

        Raises:
            BrokerUnavailableError: The file cannot be read. None of them is included.
        """
        states: list[ChannelState | None] = []
        try:
            with self._connection.reading() as connection, self._lock:
                for channel, is_included in changes:
                    self._ended.pop(channel, None)
                    if not is_included:
                        states.append(None)
                        self._handed_on.pop(channel, None)
                        connection.execute(_UNLISTEN, (channel,))
                        continue
                    if not self._handed_on:
                        self._see(connection, read_state(connection))
                    state = self._read_channel(connection, channel)
                    self._handed_on[channel] = state.head
                    if state.has_ended:
                        if not self._ended:
                            self._watched_from = read_state(connection).last_seq
                        self._ended[channel] = False
                    states.append(state)
                    connection.execute(_LISTEN, (channel,))
        except BaseException:
            # Connecting anew makes the table from what is included then.
            with self._lock:
                for channel, _ in changes:
                    self._handed_on.pop(channel, None)
                    self._ended.pop(channel, None)
            raise
        return states

    def is_listened_to(self, channel: str) -> bool:
        """
        Return whether a channel is included. For any thread.

        Args:
            channel: Any name.
        """
        return channel in self._handed_on

    @property
    def watches_all(self) -> bool:
        """
        Whether entries of any channel are to be read soon after they were stored.

        While a channel that is listened to has ended: entries of its next life may be
        removed before they are read, which is seen by the number of all entries.
        """
        return bool(self._ended)

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
            self._seen, self._watched_from = Seen(state.file_id, 0, None), 0
        self._look_for_removed(connection, state)
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
            added += sum(
                self._add_row(connection, head, tuple(row)) for _, head, *row in rows
            )
            full = len(rows) == _NEWS_AT_ONCE
            self._see(connection, state, rows[-1][0] if full else state.last_seq)
            if not full:
                break
        return added > 0

    def _look_for_removed(self, connection: sqlite3.Connection, state: FileState) -> None:
        """Note whether entries that were not read yet have been removed, of any channel."""
        if not self._ended:
            return
        after = max(self._seen.seq, self._watched_from)
        if (state.last_seq - after,) != connection.execute(
            "SELECT count(*) FROM entry WHERE seq > ?", (after,)
        ).fetchone():
            self._ended = dict.fromkeys(self._ended, True)

    def _see(
        self, connection: sqlite3.Connection, state: FileState, seq: int | None = None
    ) -> None:
        seq = state.last_seq if seq is None else seq
        if (state.file_id, seq) != self._seen[:2]:
            self._seen = Seen(state.file_id, seq, read_mark(connection, seq))
            self._highest.note(self._seen)

    def read_forgotten(self) -> None:
        """
        Look for channels that have ended and are forgotten, for :meth:`take`.

        Raises:
            BrokerUnavailableError: The file cannot be read.
        """
        if not self._ended:
            return
        with self._connection.reading() as connection, self._lock:
            state = read_state(connection)
            if state.file_id != self._seen.file_id:
                return  # all is new, as read() will find
            self._look_for_removed(connection, state)
            for channel, gap in tuple(self._ended.items()):
                head = self._read_channel(connection, channel).head
                if head.epoch != self._handed_on[channel].epoch:
                    self._restart(channel, head.epoch, gap=gap)

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
            if any(map(self._has_begun, commit.entries)):
                return False
            for entry in commit.entries:
                if entry.channel in self._handed_on:
                    self._add(entry)
            self._seen = commit.seen
            return True
        finally:
            self._lock.release()

    def take(self, at_most: int) -> list[Entry | Restart]:
        """
        Return what is to be handed on next, and drop it.

        Args:
            at_most: How many.

        Returns:
            Entries in the order of the file, and the restarts between them; none if
            nothing is new.
        """
        # Others only add at the other end.
        count = min(at_most, len(self._fresh))
        return [self._fresh.popleft() for _ in range(count)]

    def _read_channel(self, connection: sqlite3.Connection, channel: str) -> ChannelState:
        state, damage = read_channel(connection, channel)
        if damage is not None:
            self._once.skipped(
                channel, "its damaged row", f"{self._connection.path}: {damage}"
            )
        return state

    def _add_row(self, connection: sqlite3.Connection, head: object, row: Row) -> bool:
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
        if self._has_begun(entry):
            self._rename(connection, channel, entry.position.epoch)
        return self._add(entry)

    def _has_begun(self, entry: Entry) -> bool:
        """Return whether an entry is the first in an epoch that nobody was told of."""
        if entry.position.offset != 1:
            return False
        handed_on = self._handed_on.get(entry.channel)
        return handed_on is not None and handed_on.epoch != entry.position.epoch

    def _rename(self, connection: sqlite3.Connection, channel: str, epoch: str) -> None:
        """Add the news that a channel begins in a later epoch than its listeners know."""
        known = self._handed_on[channel]
        if not known.offset and is_beginning(connection, channel, known.epoch, epoch):
            self._restart(channel, epoch, gap=False)

    def _restart(self, channel: str, epoch: str, *, gap: bool) -> None:
        start = self._handed_on[channel] = Position(epoch, 0)
        self._ended.pop(channel, None)
        self._fresh.append(Restart(channel, start, gap))

    def _add(self, entry: Entry) -> bool:
        handed_on = self._handed_on[entry.channel]
        position = entry.position
        # What is in the head with which listening began is not new.
        if position.epoch == handed_on.epoch and position.offset <= handed_on.offset:
            return False
        self._handed_on[entry.channel] = position
        if entry.is_end:
            self._ended[entry.channel] = False
        elif self._ended:
            self._ended.pop(entry.channel, None)
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
                self._seen, self._watched_from = Seen(file_id, 0, None), 0
