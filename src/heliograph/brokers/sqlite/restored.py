"""
Notices that a copy of the file was put back: the last entry that was seen is gone.

SQLite's own ``.restore`` and a program that copies over the file leave it its inode, and
connections stay open. What was stored after the copy is gone, and its numbers are given a
second time, perhaps before anybody looks. So of the last entry not only the number is
remembered, but also its channel and its time, which no other entry has with the same
number. All channels get a new epoch then, and the file another random name, by which other
processes notice it.

An entry that is missing says nothing, since history is trimmed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ... import native
from ...logs import Logger
from .schema import FileState, read_mark, read_state, renew_epochs

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from .schema import Mark

__all__ = ["HighestSeq", "Seen"]

_log = Logger("heliograph.brokers.sqlite")


class Seen(NamedTuple):
    """
    How much of a file was seen.

    Attributes:
        file_id: The random name of the file.
        seq: The highest ``seq``; 0 before the first entry.
        mark: What is remembered of the entry with that number; :obj:`None` if it was not
            there, as after it was trimmed.
    """

    file_id: str
    seq: int
    mark: Mark | None

    def loss(self, connection: sqlite3.Connection, state: FileState) -> str | None:
        """
        Return how the file shows that it no longer has what was seen.

        Args:
            connection: In a transaction that began after the entry was seen.
            state: The state of the file in that transaction.

        Returns:
            For the log; :obj:`None` if it has it, or is another file.
        """
        if state.file_id != self.file_id:
            return None
        if state.last_seq < self.seq:
            return f"the number of its last event was {self.seq} and is {state.last_seq}"
        mark = read_mark(connection, self.seq)
        if mark is None or self.mark is None or mark == self.mark:
            return None
        return f"its event number {self.seq} is not the one that was there before"


class HighestSeq:
    """
    The entry with the highest ``seq`` that this process has seen. Used from both threads.

    Args:
        path: The file, as the log names it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # By way of the module, because gevent may have patched it since we were imported.
        self._lock = native.RLock()
        self._highest = Seen("", 0, None)
        # The file had these names before: only a copy has one of them again.
        self._former: set[str] = set()

    def note(self, seen: Seen) -> None:
        """
        Remember what was seen in a snapshot.

        Args:
            seen: Also in one that is older than what another thread has seen.
        """
        with self._lock:
            highest = self._highest
            if seen.file_id in self._former:
                return
            if seen.file_id != highest.file_id:
                if highest.file_id:
                    self._former.add(highest.file_id)
                self._highest = seen
            elif seen.seq > highest.seq:
                self._highest = seen

    def seen(self) -> Seen:
        """Return what was noted; only transactions that begin later must have it."""
        return self._highest

    def loss(
        self, connection: sqlite3.Connection, state: FileState, *seen: Seen
    ) -> str | None:
        """
        Return how the file shows that a copy was put back.

        Args:
            connection: In a transaction.
            state: The state of the file in that transaction.
            seen: What had been seen before the transaction began.

        Returns:
            For the log; :obj:`None` if it is no copy.
        """
        if state.file_id in self._former:
            return "it has a name again that it had before"
        for each in dict.fromkeys(seen):
            if loss := each.loss(connection, state):
                return loss
        return None

    def begin_anew(self, connection: sqlite3.Connection, *seen: Seen) -> FileState:
        """
        Renew the epochs of the file if a copy was put back.

        Args:
            connection: In a transaction that writes. It may be rolled back.
            seen: What had been seen beside what was noted.

        Returns:
            The state of the file.
        """
        state = read_state(connection)
        loss = self.loss(connection, state, self._highest, *seen)
        if loss is None:
            return state
        renew_epochs(connection)
        _log.warning(
            "a copy of %s was put back: %s; all channels get a new epoch, and clients get a"
            " gap event",
            self._path,
            loss,
        )
        return read_state(connection)
