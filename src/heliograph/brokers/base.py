"""
The contract of brokers: what Heliograph expects of any storage of channels.

:mod:`heliograph.brokers.contract` tests it; ``docs/brokers.md`` shows how to write one.

**Ordering.** A broker assigns the next offset to each event of a channel: 1, 2, 3 … without
a hole, whichever process appends. All readers and listeners get the events in that order.

**Durability.** :meth:`Broker.append` returns once the entry is as durable as the broker
promises. If it raises, the entry may or may not have been stored.

**Epochs.** Each channel has an epoch. It changes when the numbering begins anew, and only
then, so that a position of a former numbering is recognised instead of being misread.

**Retention.** History is bounded by a number of events and an age, for each channel. The
oldest entries are removed first. A time in the future, which a wrong clock has left, keeps
no entry that is too old.

**Damage.** An entry that cannot be read, because another program or a failing disk has
changed it, is skipped, and the broker stays available: no method raises an error for it.
:meth:`Broker.read` reports the gap ``"trimmed"``, as for entries that were removed; a
listener sees the hole in the offsets before the next entry. The log says once for a channel
which entry was skipped: a warning with the channel and the offset.

**Cost.** Reading, finding and listening store nothing, also for channels without entries,
because visitors choose the names of channels. The cost of :meth:`Broker.find` does not
depend on the size of history; that of :meth:`Broker.read` is bounded by its limit.

**Errors.** All methods except :meth:`Broker.open` and :meth:`Broker.close` raise
:class:`~heliograph.errors.BrokerUnavailableError` and nothing else; :meth:`Broker.append`
may raise :class:`~heliograph.errors.ConfigError`, too, which callers do not repeat. A
broker recovers by itself, so it may be used again after that. The entries that it then
passes to the listener have no hole, or begin with a new epoch or an offset that shows the
hole.

**Loops.** A broker belongs to the event loop that opened it, and does not block it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Coroutine, Sequence

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
        events: Largest number of events, at least 1.
        seconds: Largest age of an event, above 0.
    """

    events: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """
    Part of a channel's history.

    Args:
        entries: Entries in the order of their offsets, without a hole.
        start: The position after which ``entries`` begin. Without a gap it is the
            requested position, expressed in the channel's present epoch; with a gap it is
            the position from which the client continues instead.
        head: The channel's newest position.
        gap: Why the requested position cannot be honoured; :obj:`None` if it can.
    """

    entries: Sequence[Entry]
    start: Position
    head: Position
    gap: GapReason | None


class Attempt:
    """
    One append that may take several tries, so that the event is stored once.

    A broker that recognises repeated appends reads and sets these attributes.

    Attributes:
        token: A random name of this append, to be stored with the event.
        was_tried: Whether an earlier try may have stored the event.
        after: A position that the channel had before the first try, if it was known: the
            event can only be stored after it.
    """

    __slots__ = ("after", "token", "was_tried")

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(9)
        self.was_tried = False
        self.after: Position | None = None


class Listener(Protocol):
    """
    Receives what happens in the channels that a broker listens to.

    The broker calls these methods on its event loop. They do not raise.
    """

    def on_entries(self, entries: Sequence[Entry]) -> None:
        """
        Receive new entries.

        Args:
            entries: Entries of any channels; those of one channel in the order of their
                offsets.
        """
        ...

    def on_restart(self, channel: str, start: Position, *, gap: bool) -> None:
        """
        Receive the news that a channel has a new epoch, before the first entry in it.

        A broker that learns of the epoch only with that entry does not call this.

        Args:
            channel: Name of the channel.
            start: Position in the new epoch after which entries follow.
            gap: Whether entries before ``start`` were not passed on, or were lost.
        """
        ...

    def on_passing(self, channel: str, event: Event) -> None:
        """
        Receive an event that has no position in its channel and is not in its history.

        Args:
            channel: Name of the channel.
            event: Any event.
        """
        ...

    def on_connection(self, *, up: bool, reason: str) -> None:
        """
        Receive the news that new entries no longer arrive, or arrive again.

        Args:
            up: Whether they arrive.
            reason: Why they do not, in the storage's words.
        """
        ...


class Broker(Protocol):
    """
    A storage of channels. The module's documentation has the rules for all methods.

    Attributes:
        resource: The name of the storage in errors: a file or an address, without secrets.
    """

    resource: str

    async def open(self, listener: Listener) -> None:
        """
        Start working on the running loop.

        Storage that cannot be reached is not an error here, because it may come up later;
        until then, the other methods raise.

        Args:
            listener: Called with what happens in the channels listened to.

        Raises:
            ConfigError: Storage refuses the configuration, and would do so again: a wrong
                password, a missing permission, a version that is too old.
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
            repeats: For callers that call again after a failure: the same object for each
                try, so that the event is stored once, whichever try stores it.

        Returns:
            The entry, as listeners get it.

        Raises:
            BrokerUnavailableError: Storage failed. The entry may have been stored.
            ConfigError: Storage refuses the append, as it would refuse it again. The entry
                was not stored.
        """
        ...

    async def read(self, channel: str, after: Position | None, limit: int) -> History:
        """
        Return the entries that follow a position.

        Args:
            channel: A valid name. A channel without entries is at offset 0.
            after: Position of the last entry that is not wanted; :obj:`None` to begin with
                the oldest entry in history.
            limit: Largest number of entries to return. A broker may return fewer if they
                are large, but at least one. With 0, only ``after`` is checked.

        Returns:
            The entries after ``after``. If ``after`` cannot be honoured, ``gap`` says why.
            With the gap ``"epoch"`` or ``"trimmed"``, the entries begin with the oldest one
            that a client at ``after`` cannot have seen; with ``"unknown"``, there are none.
            A page ends before a damaged entry, and the next page begins after it, with the
            gap ``"trimmed"``. If all entries of a page are damaged it is empty, and its
            ``start`` is the last of them, from which the caller reads on.

        Raises:
            BrokerUnavailableError: Storage failed.
        """
        ...

    async def find(self, channel: str, event_id: str) -> Position | None:
        """
        Return the position of the one entry with a publisher's own id.

        Visitors choose the id. Therefore the cost must not depend on the size of history,
        whether or not an entry has the id.

        Args:
            channel: A valid name.
            event_id: Any text.

        Returns:
            The position of the entry; :obj:`None` if no entry in history has the id, or
            several have. For the id of a damaged entry either is right.

        Raises:
            BrokerUnavailableError: Storage failed.
        """
        ...

    def listen(
        self, channel: str
    ) -> Coroutine[object, object, Position] | Future[Position]:
        """
        Pass new entries of a channel to the listener from now on.

        If the returned awaitable is cancelled, the channel is not listened to. A call of
        :meth:`listen` that follows a cancellation, or a call of :meth:`unlisten`, takes
        effect after it.

        Args:
            channel: A valid name that is not listened to.

        Returns:
            The position after which the listener gets every entry: as a coroutine, or as a
            future, which saves the caller a task.

        Raises:
            BrokerUnavailableError: Storage failed; the channel is not listened to.
        """
        ...

    def unlisten(self, channel: str) -> None:
        """
        Stop passing on new entries of a channel. Some may still arrive.

        Args:
            channel: Any name, listened to or not.
        """
        ...


def resolve(
    after: Position | None,
    head: Position,
    oldest_offset: int,
    same_until: int | None = None,
) -> tuple[int, GapReason | None]:
    """
    Return where reading begins, by the one rule that all brokers share.

    Args:
        after: The requested position; :obj:`None` for the oldest entry.
        head: The channel's newest position.
        oldest_offset: Offset of the oldest entry in history; ``head.offset + 1`` if there
            is none.
        same_until: If ``after`` is in a former epoch that the broker remembers: the offset
            up to which the entries of both epochs are the same. Otherwise :obj:`None`.

    Returns:
        The offset after which entries begin, and why it is not the requested one;
        :obj:`None` if it is.
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
