"""
What a broker is: the contract that every storage of channels keeps.

**Ordering.** A broker gives each event of a channel the next offset: 1, 2, 3 … without
a hole, whoever appends, from whatever process. All readers and listeners see that order.

**Durability.** :meth:`Broker.append` returns once the entry is as durable as the broker
promises. If it raises, the entry may or may not have been stored.

**Lives.** Each channel has an epoch. It changes when the numbering begins anew, and only
then, so that a position from another life is recognised instead of being misread.

**Retention.** A number of events and an age per channel. Trimming leaves the newest.

**Cost.** Asking stores nothing: not for a channel that has no entry, nor for a thousand of
them. :meth:`Broker.find` costs the same however much history there is, and
:meth:`Broker.read` is bounded by its limit.

**Errors.** :class:`~heliograph.errors.BrokerUnavailableError` and nothing else, from any
method but :meth:`Broker.open` and :meth:`Broker.close`. A broker that has raised it may be
used again: it tries to recover by itself, and what it hands to listeners has no hole then
either, or begins with a new epoch or an offset that shows the hole.

**Loops.** A broker belongs to the event loop that opened it. Nothing blocks that loop.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Coroutine, Sequence
    from typing import Any

    from ..channels.entry import Entry
    from ..channels.position import GapReason, Position
    from ..event import Event

__all__ = [
    "Attempt",
    "Broker",
    "History",
    "Listener",
    "Retention",
    "resolve",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """
    How much history a broker keeps per channel.

    Args:
        events: Number of events, at least 1.
        seconds: Age of the oldest, above 0.
    """

    events: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """
    Part of a channel's history.

    Args:
        entries: In order, without a hole.
        start: The position after which ``entries`` begin: the one that was asked
            for, perhaps as it is called in the channel's present life; or where a client
            has to go on that cannot have that.
        head: The channel's newest position.
        gap: Why the position asked for cannot be honoured; :obj:`None` when it can.
    """

    entries: Sequence[Entry]
    start: Position
    head: Position
    gap: GapReason | None


class Attempt:
    """
    What several tries to append one event have in common.

    Attributes:
        token: A name that no other append has.
        was_tried: Whether there was one, which may have succeeded.
        after: A position before which it cannot be, if one was known then.
    """

    __slots__ = ("after", "token", "was_tried")

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(9)
        self.was_tried = False
        self.after: Position | None = None


class Listener(Protocol):
    """Who is told what happens in the channels listened to. Called on the loop."""

    def on_entries(self, entries: Sequence[Entry]) -> None:
        """
        Take new entries.

        Args:
            entries: In order within each channel.
        """
        ...

    def on_restart(self, channel: str, start: Position, *, gap: bool) -> None:
        """
        Take note that a channel has begun another life, before its first entry comes.

        A broker that learns of it only through that entry does not call this.

        Args:
            channel: Its name.
            start: Where it goes on, in the new life.
            gap: Whether entries before that were not handed on, or no longer hold.
        """
        ...

    def on_passing(self, channel: str, event: Event) -> None:
        """
        Take an event that has no place in its channel: nobody can be given it later.

        Args:
            channel: Its name.
            event: Any event.
        """
        ...

    def on_connection(self, *, up: bool, reason: str) -> None:
        """
        Take note that new entries no longer come, or come again.

        Args:
            up: Whether they come.
            reason: What the storage said.
        """
        ...


class Broker(Protocol):
    """
    Where channels live.

    Attributes:
        resource: What errors call it: a file or an address, without secrets.
    """

    resource: str

    async def open(self, listener: Listener) -> None:
        """
        Begin to work on the running loop.

        Storage that cannot be reached is no error here: methods raise until it can.

        Args:
            listener: Told what happens in channels listened to.

        Raises:
            ConfigError: Storage refuses what it was configured with, and will go on doing
                so: a wrong password, a missing right, a version too old.
        """
        ...

    async def close(self) -> None:
        """Release everything. Appends that have begun are finished first."""
        ...

    async def append(
        self, channel: str, event: Event, *, repeats: Attempt | None = None
    ) -> Entry:
        """
        Store an event as the next of its channel.

        Cancelling the call does not undo the append.

        Args:
            channel: A valid name.
            event: Any event.
            repeats: For who will call again after a failure: the same object each time,
                so that the event is stored once, whichever of the calls did it.

        Returns:
            The entry, as listeners get it.

        Raises:
            BrokerUnavailableError: Storage failed; the entry may or may not be there.
        """
        ...

    async def read(self, channel: str, after: Position | None, limit: int) -> History:
        """
        Give what follows a position.

        Args:
            channel: A valid name; one without entries is at offset 0.
            after: Where to begin; :obj:`None` for the oldest entry held.
            limit: Most entries to give, fewer if they are large but at least one; 0 asks
                only whether ``after`` holds.

        Returns:
            Entries from ``after`` on. If it cannot be honoured, ``gap`` says why:
            after ``"epoch"`` and ``"trimmed"`` they begin with the oldest entry that the
            asker cannot have seen; after ``"unknown"`` there are none.

        Raises:
            BrokerUnavailableError: Storage failed.
        """
        ...

    async def find(self, channel: str, event_id: str) -> Position | None:
        """
        Return the position of the one entry with a publisher's own id.

        A client may ask for anything here: the cost does not depend on how much history
        there is, whether or not it holds the id.

        Args:
            channel: A valid name.
            event_id: What a client says is the id that the publisher gave.

        Returns:
            Its position; :obj:`None` if history holds none, or more than one.

        Raises:
            BrokerUnavailableError: Storage failed.
        """
        ...

    def listen(self, channel: str) -> Coroutine[Any, Any, Position] | Future[Position]:
        """
        Hand new entries of a channel to the listener from now on.

        Cancelling what is returned leaves the channel not listened to. Both that and
        :meth:`unlisten` are in order with calls of :meth:`listen` that come after them.

        Args:
            channel: A valid name that is not listened to.

        Returns:
            The position after which the listener is given every entry: a coroutine, or a
            future where that saves a task.

        Raises:
            BrokerUnavailableError: Storage failed; the channel is not listened to.
        """
        ...

    def unlisten(self, channel: str) -> None:
        """
        Stop that. Entries under way may still come.

        Args:
            channel: A name, listened to or not.
        """
        ...


def resolve(
    after: Position | None,
    head: Position,
    oldest_offset: int,
    same_until: int | None = None,
) -> tuple[int, GapReason | None]:
    """
    Say where reading begins, by the one rule that all brokers share.

    Args:
        after: What was asked for.
        head: The channel's newest position.
        oldest_offset: Offset of the oldest entry held; ``head.offset + 1`` if none is.
        same_until: Up to which offset the life that ``after`` belongs to is the same as
            the present one, if it is a former one of which that is known.

    Returns:
        The offset after which entries begin, and why it is not the one asked for.
    """
    before_oldest = oldest_offset - 1
    if after is None:
        return before_oldest, None
    if after.epoch != head.epoch:
        if same_until is None:
            return before_oldest, "epoch"
        if after.offset > same_until:
            return max(same_until, before_oldest), "epoch"
    elif after.offset > head.offset:
        return head.offset, "unknown"
    if after.offset < before_oldest:
        return before_oldest, "trimmed"
    return after.offset, None
