"""What the thread that writes does for publishers: appends, and changes of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...channels.position import Position
from ...errors import InvalidFieldError
from .aging import Aging
from .batch import Append, Batch, Outcome
from .restored import Seen
from .rows import parse_channel
from .schema import read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...channels.entry import Entry
    from ..once import OnceLog
    from ..values import RetentionPolicy
    from .connection import Connection
    from .restored import HighestSeq

__all__ = ["Commit", "Writer"]

# Entries whose age is checked beside each batch: more than a batch adds, so that old
# ones never pile up, and few enough to cost nothing.
_AGED_PER_BATCH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """
    What one transaction has stored.

    Args:
        outcomes: Of each append, in order.
        entries: What is new, in the order of their ``seq``, which are consecutive numbers.
        after_seq: The highest ``seq`` before the first of them; :obj:`None` if another
            program has interfered with the numbers, so that they are not consecutive.
        seen: The file after that.
    """

    outcomes: list[Outcome]
    entries: list[Entry]
    after_seq: int | None
    seen: Seen


class Writer:
    """
    Stores entries, and changes the state of channels.

    Args:
        connection: Used from the thread that writes.
        retention: How much is kept of each channel.
        clock: Returns seconds since the epoch of Unix.
        highest: Notices a copy of the file that was put back.
        once: Logs damage.
    """

    def __init__(
        self,
        connection: Connection,
        retention: RetentionPolicy,
        clock: Callable[[], float],
        highest: HighestSeq,
        once: OnceLog,
    ) -> None:
        self._connection = connection
        self._highest = highest
        self._retention = retention
        self._clock = clock
        self._once = once
        self._aging = Aging(retention)

    def append(self, appends: Sequence[Append]) -> Commit:
        """
        Store events in one transaction.

        Args:
            appends: Channels, events and terms, in order.

        Returns:
            What was stored, and the outcome of each append.

        Raises:
            BrokerUnavailableError: None of them is stored.
            ConfigError: Likewise, and none will be until the file is another.
        """
        with self._connection.writing() as connection:
            now = self._clock()
            # Nobody else writes now: what is stored here gets the next numbers.
            state = self._highest.begin_anew(connection)
            batch = Batch(
                connection,
                path=self._connection.path,
                now=now,
                epoch=state.epoch,
                retention=self._retention,
                once=self._once,
            )
            outcomes = [batch.add(*append) for append in appends]
            channels = batch.finish()
            last_seq = read_state(connection).last_seq
            self._aging.trim(connection, now, len(appends) + _AGED_PER_BATCH, channels)
        entries = batch.entries
        is_dense = last_seq == state.last_seq + len(entries)
        seen = Seen(state.file_id, last_seq, batch.last_mark if is_dense else None)
        if entries:
            self._highest.note(seen)
        return Commit(
            outcomes=outcomes,
            entries=entries,
            after_seq=state.last_seq if is_dense else None,
            seen=seen,
        )

    def forget(self, channel: str, key: str) -> None:
        """Retain an entry no longer. See :meth:`..base.Broker.forget`."""
        with self._connection.writing() as connection:
            connection.execute(
                "DELETE FROM retained WHERE retained_as = ? AND channel_id ="
                " (SELECT id FROM channel WHERE name = ?)",
                (key, channel),
            )

    def begin(self, channel: str) -> Position:
        """
        Begin a new life of a channel. See :meth:`..base.Broker.begin`.

        The rows of the former one stay until they are trimmed, since listeners of other
        processes may not have read them.
        """
        with self._connection.writing() as connection:
            state = self._highest.begin_anew(connection)
            row = connection.execute(
                "SELECT id, epoch, head, began, ended FROM channel WHERE name = ?",
                (channel,),
            ).fetchone()
            if row is None:
                return Position(state.epoch, 0)
            channel_id, *columns = row
            try:
                head = parse_channel(*columns).head
            except InvalidFieldError as error:
                # It has no history, and begins anew with its next event.
                self._once.skipped(
                    channel, "its damaged row", f"{self._connection.path}: {error}"
                )
                return Position(state.epoch, 0)
            connection.execute(
                "UPDATE channel SET began = head, published_at = ? WHERE id = ?",
                (self._clock(), channel_id),
            )
            connection.execute("DELETE FROM retained WHERE channel_id = ?", (channel_id,))
        return head
