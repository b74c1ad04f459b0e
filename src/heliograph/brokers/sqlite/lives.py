"""
The epochs that channels share that have no row yet.

``meta.epoch`` is the epoch with which channels begin. All that begin before the next one is
made share it, which keeps the ids of many channels short. It is a random prefix and a
number: the next one has the same prefix and the next number, so none has to be kept.

A client may be at the beginning of a channel without a row: at offset 0 of the epoch that
was the present one then. This is still the beginning of the channel unless the channel was
forgotten since, with events that the client has not seen. Nothing of a channel remains that
was forgotten, not even its name. But names are divided into a fixed number of buckets, and
each bucket holds the last epoch with which a forgotten channel of it began. Whoever was
there before, or then, may have missed something; positions in later epochs are honoured. So
what is forgotten is a gap only for clients that wait, at offset 0, in channels of the same
bucket.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from zlib import crc32

from ..epoch import new_epoch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

__all__ = ["end_lives", "is_beginning"]

# Few enough to be small when all are in use: 100 KB.
_BUCKETS = 4096

# What new_epoch() returns, and a number: sixteen characters, as many as an epoch may have.
# There is one epoch for a sweep at most, so the numbers last for centuries.
_LIFE = re.compile("([0-9A-Za-z]{8})([1-9][0-9]{0,7})?")
_MOST = 99_999_999


def is_beginning(
    connection: sqlite3.Connection, channel: str, epoch: str, present: str
) -> bool:
    """
    Return whether offset 0 of an epoch is still the beginning of a channel.

    Args:
        connection: In a transaction.
        channel: A valid name.
        epoch: Any epoch, which need not be of this file.
        present: The channel's present epoch, another one.
    """
    before, now = _life(epoch), _life(present)
    if before is None or now is None or before[0] != now[0] or before[1] > now[1]:
        return False
    until = _until(connection, channel)
    # One with another prefix was stored before all epochs were renewed.
    return until is None or until[0] != now[0] or until[1] < before[1]


def end_lives(
    connection: sqlite3.Connection, channels: Iterable[tuple[str, object]]
) -> None:
    """
    Honour no position of those who were at the beginning of channels that are forgotten.

    Args:
        connection: In a transaction that writes, which removes the channels.
        channels: Their names and epochs, which may be damaged.
    """
    (text,) = connection.execute("SELECT epoch FROM meta").fetchone()
    present = _life(text)
    is_over = False
    for name, epoch in channels:
        ended, life = epoch, _life(epoch)
        if life is None or present is None or life[0] != present[0]:
            # It has begun anew, or all have: when it first began is not known.
            ended, life = text, present
        is_over = is_over or life == present
        until = _until(connection, name)
        if until is None or life is None or until[0] != life[0] or until[1] < life[1]:
            connection.execute(
                "INSERT OR REPLACE INTO forgotten (bucket, epoch) VALUES (?, ?)",
                (_bucket(name), ended),
            )
    if is_over:
        following = (
            new_epoch()
            if present is None or present[1] == _MOST
            else f"{present[0]}{present[1] + 1}"
        )
        connection.execute("UPDATE meta SET epoch = ?", (following,))


def _until(connection: sqlite3.Connection, channel: str) -> tuple[str, int] | None:
    row = connection.execute(
        "SELECT epoch FROM forgotten WHERE bucket = ?", (_bucket(channel),)
    ).fetchone()
    return None if row is None else _life(row[0])


def _bucket(channel: str) -> int:
    # The same in all processes, which hash() is not. A damaged name may be no text.
    return crc32(channel.encode(errors="surrogateescape")) % _BUCKETS


def _life(epoch: object) -> tuple[str, int] | None:
    found = _LIFE.fullmatch(epoch) if isinstance(epoch, str) else None
    return found and (found[1], int(found[2] or 0))
