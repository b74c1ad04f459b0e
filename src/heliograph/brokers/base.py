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

**Retained entries.** A channel holds at most one retained entry for each key. It stays,
whatever the bounds of history are, until another entry is retained with its key, until
:meth:`Broker.forget`, or until the channel is forgotten. A retained entry that history no
longer holds is returned by :meth:`Broker.retained` only: to :meth:`Broker.read` and
:meth:`Broker.find` it is an entry that was removed.

**The end of a channel.** An entry can be the last of its channel. Nothing can be appended
after it until :meth:`Broker.begin`. The end is remembered as long as the channel, also when
history no longer holds that entry.

**Repeated publishes.** An entry can have an idempotency key. As long as history holds the
entry, an append with its key stores nothing and returns it, also after the channel has
ended.

**Forgetting.** A channel that has ended, or that nobody has published or listened to, is
forgotten after ``forget_seconds``: its history, its retained entries and its end. Storage
then holds nothing of it. A channel that is forgotten begins with another epoch when it is
used again, so that no position of the former is misread.

**Damage.** An entry that cannot be read, because another program or a failing disk has
changed it, is skipped, and the broker stays available: no method raises an error for it.
:meth:`Broker.read` reports the gap ``"trimmed"``, as for entries that were removed; a
listener sees the hole in the offsets before the next entry. The log says once for a channel
which entry was skipped: a warning with the channel and the offset.

**Cost.** Reading, finding and listening store nothing, also for channels without entries,
because visitors choose the names of channels. The cost of :meth:`Broker.find` does not
depend on the size of history; that of :meth:`Broker.read` is bounded by its limit.

**Errors.** All methods except :meth:`Broker.open` and :meth:`Broker.close` raise
:class:`~heliograph.errors.BrokerUnavailableError` and nothing else; those that store
something may raise :class:`~heliograph.errors.ConfigError`, too, which callers do not
repeat, and :meth:`Broker.append` what depends on the channel's state. A
broker recovers by itself, so it may be used again after that. The entries that it then
passes to the listener have no hole, or begin with a new epoch or an offset that shows the
hole.

**Loops.** A broker belongs to the event loop that opened it, and does not block it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .values import PLAIN

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Coroutine, Sequence

    from ..channels.entry import Entry
    from ..channels.position import Position
    from ..event import Event
    from .values import Attempt, History, Retained, Terms

__all__ = ["Broker", "Listener", "PromptBroker"]


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

    def on_state(self, channel: str, *, has_ended: bool, has_retained: bool) -> None:
        """
        Receive the state of a channel that is about to be listened to.

        Called before :meth:`Broker.listen` returns the head, and only if one of both is
        true: what is appended later is told by its entry.

        Args:
            channel: Name of the channel.
            has_ended: Whether the entry at the head is the end of the channel.
            has_retained: Whether the channel has retained entries.
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
        self,
        channel: str,
        event: Event,
        *,
        terms: Terms = PLAIN,
        repeats: Attempt | None = None,
    ) -> Entry:
        """
        Store an event as the next of its channel.

        Everything that the terms ask for is done together with storing it, or nothing is.
        Cancelling the call does not undo the append.

        Args:
            channel: A valid name.
            event: Any event.
            terms: What is to be done beside storing it; nothing by default.
            repeats: For callers that call again after a failure: the same object for each
                try, so that the event is stored once, whichever try stores it.

        Returns:
            The entry, as listeners get it; the first one with the idempotency key, if
            there is one.

        Raises:
            BrokerUnavailableError: Storage failed. The entry may have been stored.
            ConfigError: Storage refuses the append, as it would refuse it again. The entry
                was not stored.
            ChannelEndedError: The channel has ended. The entry was not stored.
            TooManyRetainedError: The channel has ``retained_keys`` retained entries, and
                none of them has the key. The entry was not stored.
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

    async def retained(self, channel: str, after: int, limit: int) -> Retained:
        """
        Return retained entries.

        Args:
            channel: A valid name.
            after: Offset in the channel's present epoch: only entries beyond it are
                returned, 0 for all.
            limit: Largest number of entries to return, at least 1. A broker may return
                fewer if they are large, but at least one if there is one.

        Raises:
            BrokerUnavailableError: Storage failed.
        """
        ...

    async def retained_as(self, channel: str, key: str) -> Entry | None:
        """
        Return the retained entry that has a key.

        Args:
            channel: A valid name.
            key: ``""`` for the entry that was retained without a key.

        Returns:
            The entry; :obj:`None` if there is none, or if it is damaged.

        Raises:
            BrokerUnavailableError: Storage failed.
        """
        ...

    async def forget(self, channel: str, key: str) -> None:
        """
        Retain an entry no longer. History keeps it within its bounds.

        Args:
            channel: A valid name.
            key: Of a retained entry; ``""`` for the one without a key. A key that no entry
                has is no error.

        Raises:
            BrokerUnavailableError: Storage failed. It may have been done.
            ConfigError: Storage refuses it, as it would refuse it again.
        """
        ...

    async def begin(self, channel: str) -> Position:
        """
        Begin a new life of a channel, whether it has ended or not.

        History and all retained entries are removed. The numbering continues, so that
        whoever has seen all of the former life has missed nothing, and whoever has not
        gets the gap ``"trimmed"``. Listeners get what was appended before all the same. A
        channel that storage does not know is left as it is.

        Args:
            channel: A valid name.

        Returns:
            The head, after which the new life begins.

        Raises:
            BrokerUnavailableError: Storage failed. It may have been done.
            ConfigError: Storage refuses it, as it would refuse it again.
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


class PromptBroker(Protocol):
    """
    What a broker may have beside :class:`Broker`: appends that wait for nothing.

    A hub calls them in place of :meth:`Broker.append`, and saves a task or a wait for each
    event: a class that overrides one of the three has to override the others.
    """

    def append_at_once(self, channel: str, event: Event, *, terms: Terms = PLAIN) -> Entry:
        """
        Store an event as the next of its channel. See :meth:`Broker.append`.

        Args:
            channel: A valid name.
            event: Any event.
            terms: What is to be done beside storing it.

        Raises:
            ChannelEndedError: As for :meth:`Broker.append`, and so is the next.
            TooManyRetainedError: See there. No other errors.
        """
        ...

    def append_from_thread(
        self, channel: str, event: Event, on_stored: Callable[[], None]
    ) -> Entry | None:
        """
        Store an event as the next of its channel soon, without a wait for the loop.

        Called in any thread but the loop's, also in the middle of a call in that thread: by
        a signal handler or the garbage collector. What anybody asks the loop for after this
        has returned comes after the event.

        Args:
            channel: A valid name.
            event: Any event.
            on_stored: Called on the loop when it is stored.

        Returns:
            The entry that it is; :obj:`None` if nothing was done, and the loop has to be
            asked.
        """
        ...
