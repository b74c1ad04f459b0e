"""
Removes entries that are too old.

With one age for all channels, the oldest entries of the file are looked at, whatever their
channel. If each channel may have an age of its own, those of one channel are looked at: of
each that is published to, and of the others now and then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..values import Retention

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from ..values import RetentionPolicy
    from .batch import OpenChannel

__all__ = ["Aging"]


class Aging:
    """
    Removes what is too old.

    Args:
        retention: How much is kept of each channel.

    Attributes:
        same_seconds: The age that is the same for all channels; :obj:`None` if each may
            have its own.
    """

    def __init__(self, retention: RetentionPolicy) -> None:
        self.same_seconds = retention.seconds if isinstance(retention, Retention) else None
        # The longest age of a channel, as far as is known.
        self._longest = self.same_seconds or 0.0
        # The file, the last entry with a time that was in the future, and when that was
        # noticed: it counts for retention instead.
        self._ahead = "", 0, 0.0

    def trim(
        self,
        connection: sqlite3.Connection,
        now: float,
        look_at: int,
        channels: Iterable[OpenChannel],
    ) -> None:
        """
        Remove some of what is too old, after something was published.

        Args:
            connection: In a transaction that writes.
            now: The time.
            look_at: How many entries to look at.
            channels: Where something was published.
        """
        if self.same_seconds is not None:
            _trim(connection, now, self.same_seconds, look_at, look_at=look_at)
            return
        for channel in channels:
            seconds = channel.retention.seconds
            _trim(connection, now, seconds, look_at, look_at=look_at, channel=channel.id)

    def trim_all(self, connection: sqlite3.Connection, now: float, at_most: int) -> int:
        """
        Remove what is too old in a file with one age for all channels.

        Args:
            connection: In a transaction that writes.
            now: The time.
            at_most: How many entries to remove.

        Returns:
            How many were removed.
        """
        assert self.same_seconds is not None  # noqa: S101 - see above
        ahead = self._old_ahead(connection, now, self.same_seconds)
        return _trim(connection, now, self.same_seconds, at_most, ahead=ahead)

    def trim_channel(
        self,
        connection: sqlite3.Connection,
        now: float,
        at_most: int,
        channel: tuple[int, float],
    ) -> int:
        """
        Remove what is too old in one channel.

        Args:
            connection: In a transaction that writes.
            now: The time.
            at_most: How many entries to remove.
            channel: The id of its row, and its age.

        Returns:
            How many were removed.
        """
        channel_id, seconds = channel
        ahead = self._old_ahead(connection, now, seconds)
        return _trim(connection, now, seconds, at_most, ahead=ahead, channel=channel_id)

    def _old_ahead(self, connection: sqlite3.Connection, now: float, seconds: float) -> int:
        """
        Return up to which ``seq`` times in the future are known for longer than an age.

        Args:
            connection: In a transaction.
            now: The time.
            seconds: The age.
        """
        self._longest = max(self._longest, seconds)
        (file_id,) = connection.execute("SELECT file_id FROM meta").fetchone()
        known_file, known_seq, noticed_at = self._ahead
        if file_id != known_file:
            known_seq, noticed_at = 0, now
        seq, published_at = connection.execute(
            "SELECT seq, published_at FROM entry ORDER BY seq DESC LIMIT 1"
        ).fetchone() or (0, now)
        # The clock may have been wrong when it was noticed, too.
        noticed_at = min(noticed_at, now)
        old = known_seq if noticed_at < now - seconds else 0
        # A later one while the first waits changes nothing; it has its turn after it.
        is_done = noticed_at < now - self._longest
        if (is_done or not known_seq) and seq > known_seq:
            # The last one of the file tells nothing of other channels.
            is_ahead = self.same_seconds is None or (
                isinstance(published_at, float) and published_at > now
            )
            known_seq, noticed_at = (seq, now) if is_ahead else (known_seq, noticed_at)
        self._ahead = file_id, known_seq, noticed_at
        return old


def _trim(
    connection: sqlite3.Connection,
    now: float,
    seconds: float,
    at_most: int,
    *,
    look_at: int = -1,
    ahead: int = 0,
    channel: int | None = None,
) -> int:
    """
    Remove entries that are too old, from the first one on.

    A clock that was wrong for a while has left times that are not in order. A time in the
    future tells nothing: such an entry is as old as the next one with a time that is
    possible, or as the moment in which a sweep noticed it. Nothing is removed after an
    entry that is not too old, so that a clock that was in the past for a moment removes no
    history.

    Args:
        connection: In a transaction that writes.
        now: The time.
        seconds: The age.
        at_most: How many entries to remove.
        look_at: How many to look at; -1 for all.
        ahead: Up to which ``seq`` a time in the future counts as too old.
        channel: The id of the one channel to look at; :obj:`None` for all of the file.

    Returns:
        How many were removed.
    """
    oldest_allowed = now - seconds
    # The order of offsets is the one of seq, and has an index.
    scope, order = ("true", "seq") if channel is None else ("channel_id = ?", "offset")
    parameters = () if channel is None else (channel,)
    last_aged, aged = None, 0
    # Rows are read one by one: those after the one that ends this are not looked at.
    for seq, published_at in connection.execute(
        f"SELECT seq, published_at FROM entry WHERE {scope} ORDER BY {order} LIMIT ?",  # noqa: S608 - our constants
        (*parameters, look_at),
    ):
        # What is no time was written by another program, and counts as old.
        if isinstance(published_at, float):
            if oldest_allowed <= published_at <= now:
                break
            if published_at > now and seq > ahead:
                continue
        last_aged, aged = seq, aged + 1
        if aged == at_most:
            break
    if last_aged is None:
        return 0
    return connection.execute(
        "DELETE FROM entry WHERE seq IN (SELECT seq FROM entry"  # noqa: S608 - likewise
        f" WHERE {scope} AND seq <= ? ORDER BY {order} LIMIT ?)",
        (*parameters, last_aged, at_most),
    ).rowcount
