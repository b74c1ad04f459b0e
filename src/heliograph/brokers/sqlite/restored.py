"""
Notices that a copy of the file was put back, from the last ``seq`` going back.

SQLite's own ``.restore`` and a program that copies over the file leave it its inode, and
connections stay open. What was stored after the copy is gone, and its numbers would be
given a second time, so all channels get a new epoch, and the file another random name, by
which other processes notice it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ...logs import Logger
from .schema import FileState, read_state, renew_epochs

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = ["HighestSeq"]

_log = Logger("heliograph.brokers.sqlite")


class HighestSeq:
    """
    The highest ``seq`` that this process has seen in the file. Used from both threads.

    Args:
        path: The file, as the log names it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # By way of the module, because gevent may have patched it since we were imported.
        self._lock = threading.Lock()
        self._highest = FileState("", 0, "")

    def note(self, state: FileState) -> None:
        """
        Remember what was seen in a snapshot.

        Args:
            state: Also one that is older than what another thread has seen.
        """
        with self._lock:
            highest = self._highest
            if state.file_id != highest.file_id or state.last_seq > highest.last_seq:
                self._highest = state

    def begin_anew(self, connection: sqlite3.Connection) -> FileState:
        """
        Give the file new epochs if it has gone back.

        Args:
            connection: In a transaction that writes. It may be rolled back.

        Returns:
            The state of the file.
        """
        state = read_state(connection)
        highest = self._highest
        if state.file_id != highest.file_id or state.last_seq >= highest.last_seq:
            return state
        renew_epochs(connection)
        _log.warning(
            "a copy of %s was put back: the number of its last event was %d and is %d;"
            " all channels get a new epoch, and clients get a gap event",
            self._path,
            highest.last_seq,
            state.last_seq,
        )
        return read_state(connection)
