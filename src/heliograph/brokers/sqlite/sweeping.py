"""
What is removed now and then although nobody publishes: old entries, channels, unused space.

A channel that has ended is forgotten when it is old enough. Another one is forgotten when
nobody has used it for so long, in any process. Publishing writes the time into the row of
the channel; a process that listens to a channel writes it now and then, long before the
channel would be forgotten, and nothing if something is published meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .aging import Aging
from .lives import end_lives

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from ..values import Retention, RetentionPolicy
    from .connection import Connection

__all__ = ["Sweeper"]

# Entries that one transaction removes: nobody is to wait long for the lock.
_AGED_AT_ONCE = 2_000

# Channels that are looked at in one call, and those that one transaction changes.
_CHANNELS_AT_ONCE = 1_000
_CHANGES_AT_ONCE = 100

# A channel that is listened to is marked as used after this part of its time, at the latest
# after six hours.
_USE_PART = 10
_USE_SECONDS = 6 * 3600.0

# Unused pages that a file keeps for what is published next: at least so many, or this part
# of all. Beyond that they are given back to the file system, so many in one transaction,
# which takes some milliseconds.
_SPARE_PAGES = 256
_SPARE_PART = 4
_PAGES_AT_ONCE = 256

# What PRAGMA auto_vacuum returns for INCREMENTAL.
_INCREMENTAL = 2


# When the oldest entry of a channel was published.
_OLDEST = (
    "(SELECT published_at FROM entry WHERE channel_id = channel.id ORDER BY offset LIMIT 1)"
)


class _Channel(NamedTuple):
    id: int
    name: str
    epoch: object
    used_at: object


class Sweeper:
    """
    Removes what is no longer needed.

    Args:
        connection: Used from the thread that writes.
        retention: How much is kept of each channel.
        clock: Returns seconds since the epoch of Unix.
        is_listened_to: Returns whether this process listens to a channel.
        sweep_seconds: How often a process marks what it listens to.
    """

    def __init__(
        self,
        connection: Connection,
        retention: RetentionPolicy,
        clock: Callable[[], float],
        *,
        is_listened_to: Callable[[str], bool],
        sweep_seconds: float,
    ) -> None:
        self._connection = connection
        self._retention = retention
        self._clock = clock
        self._aging = Aging(retention)
        self._is_listened_to = is_listened_to
        self._sweep_seconds = sweep_seconds
        # The id of the last channel that was looked at; 0 before the first.
        self._last_id = 0
        # What has to be done for those that were looked at.
        self._used: list[_Channel] = []
        self._aged: list[tuple[int, float]] = []
        self._forgotten: list[_Channel] = []

    def sweep(self) -> bool:
        """
        Remove some of what is too old, and what it has left behind.

        That is channels that are forgotten, and unused space of the file.

        Returns:
            Whether there is more to remove.

        Raises:
            BrokerUnavailableError: The file cannot be written.
        """
        if self._aging.same_seconds is not None:
            with self._connection.writing() as connection:
                removed = self._aging.trim_all(connection, self._clock(), _AGED_AT_ONCE)
            if removed == _AGED_AT_ONCE:
                return True
        if not self._is_to_change():
            with self._connection.reading() as connection:
                self._look(connection)
        if self._is_to_change():
            with self._connection.writing() as connection:
                self._change(connection)
        # What was looked at is not looked at again in this round, whatever has come of it.
        if self._last_id or self._is_to_change():
            return True
        with self._connection.writing() as connection:
            return _shrink(connection)

    def _is_to_change(self) -> bool:
        return bool(self._used or self._aged or self._forgotten)

    def _look(self, connection: sqlite3.Connection) -> None:
        """Find out what has to be done for some channels."""
        now, oldest, used_until = self._clock(), _OLDEST, float("inf")
        if self._aging.same_seconds is not None:
            # Most channels need nothing, and are not even loaded.
            oldest, retention = "NULL", self._retention.of("")
            used_until = now - _use_seconds(_kept_seconds(retention))
        rows = connection.execute(
            "SELECT id, name, epoch, published_at, began < ended AND ended = head,"  # noqa: S608 - our constants
            f" {oldest} FROM channel WHERE id > ? AND (published_at <= ?"
            " OR published_at > ? OR typeof(published_at) != 'real') ORDER BY id LIMIT ?",
            (self._last_id, used_until, now, _CHANNELS_AT_ONCE),
        ).fetchall()
        self._last_id = rows[-1][0] if len(rows) == _CHANNELS_AT_ONCE else 0
        for channel_id, name, epoch, used_at, has_ended, oldest_at in rows:
            if not isinstance(name, str):
                continue  # no name of a channel: nobody can use it
            channel = _Channel(channel_id, name, epoch, used_at)
            retention = self._retention.of(name)
            if oldest_at is not None:
                is_time = isinstance(oldest_at, float)
                if not (is_time and now - retention.seconds <= oldest_at <= now):
                    self._aged.append((channel_id, retention.seconds))
            self._judge(channel, now, _kept_seconds(retention), has_ended)

    def _judge(
        self, channel: _Channel, now: float, seconds: float, has_ended: object
    ) -> None:
        used_at = channel.used_at
        if not isinstance(used_at, float) or used_at > now:
            # A clock was wrong, or somebody else wrote it. It is as old as now.
            self._used.append(channel)
        elif has_ended == 1:
            if used_at <= now - seconds:
                self._forgotten.append(channel)
        else:
            use_seconds = _use_seconds(seconds)
            # Those who listen have marked it meanwhile, in whichever process.
            unused = now - seconds - use_seconds - 2 * self._sweep_seconds
            if self._is_listened_to(channel.name):
                if used_at <= now - use_seconds:
                    self._used.append(channel)
            elif used_at <= unused:
                self._forgotten.append(channel)

    def _change(self, connection: sqlite3.Connection) -> None:
        """Do some of what was found, where nothing was published since."""
        now = self._clock()
        removed = 0
        while self._aged:
            found = self._aging.trim_channel(connection, now, _AGED_AT_ONCE, self._aged[-1])
            if found < _AGED_AT_ONCE:
                self._aged.pop()
            removed += found
            if removed >= _AGED_AT_ONCE:
                return
        connection.executemany(
            "UPDATE channel SET published_at = ? WHERE id = ?",
            [(now, channel.id) for channel in self._used],
        )
        self._used.clear()
        some = self._forgotten[-_CHANGES_AT_ONCE:]
        forgotten = [channel for channel in some if _forget(connection, channel)]
        end_lives(connection, [(channel.name, channel.epoch) for channel in forgotten])
        del self._forgotten[-_CHANGES_AT_ONCE:]


def _kept_seconds(retention: Retention) -> float:
    return max(retention.seconds, retention.forget_seconds)


def _use_seconds(kept_seconds: float) -> float:
    return min(kept_seconds / _USE_PART, _USE_SECONDS)


def _forget(connection: sqlite3.Connection, channel: _Channel) -> bool:
    """Remove the row of a channel and all that belongs to it, if it was not used since."""
    # The trigger removes what is retained.
    # By values that SQLite takes, whatever is in the others.
    is_gone = connection.execute(
        "DELETE FROM channel WHERE id = ? AND published_at = ?",
        (channel.id, channel.used_at),
    ).rowcount
    if is_gone:
        connection.execute("DELETE FROM entry WHERE channel_id = ?", (channel.id,))
    return is_gone == 1


def _shrink(connection: sqlite3.Connection) -> bool:
    """Return some unused pages to the file system, and whether there are more of them."""

    def read(name: str) -> int:
        (value,) = connection.execute(f"PRAGMA {name}").fetchone()
        return int(value)

    # Files of former versions have no record of which page is used by which: only VACUUM,
    # which writes them anew as a whole, could make them smaller.
    if read("auto_vacuum") != _INCREMENTAL:
        return False
    spare = max(_SPARE_PAGES, read("page_count") // _SPARE_PART)
    too_many = read("freelist_count") - spare
    if too_many <= 0:
        return False
    for _ in range(min(too_many, _PAGES_AT_ONCE)):
        # One page. Each is a row without a column, after the first of which Python stops.
        connection.execute("PRAGMA incremental_vacuum(1)")
    return too_many > _PAGES_AT_ONCE
