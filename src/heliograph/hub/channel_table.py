"""
The channels that this process listens to, each with its log.

A process listens to a channel from its first subscriber until ``linger_seconds`` after its
last. Entries from the broker are appended to the log and, in the same step, passed to the
channel's :class:`ChannelEvents`. So the positions of feeds always equal the heads of the
logs.

Clients choose the names, so the cost of channels is bounded: :mod:`.admission` limits their
number (:meth:`ChannelTable.in_use_with`), and :class:`.listen_queue.ListenQueue` the calls
to the broker. A channel does not linger if the broker was not called for it yet, or if it
never had an event and only short streams.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING

from ..channels.log import Appended, ChannelLog, LogItem
from ..channels.position import Position, Positions
from ..logs import Logger
from .listen_queue import ListenQueue
from .listened_channel import ListenedChannel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..brokers.base import Broker
    from ..channels.entry import Entry
    from ..config import HubConfig
    from ..event import Event
    from ..retry import Availability
    from .channel_events import ChannelEvents
    from .subscriber import Subscriber

__all__ = ["ChannelTable"]

_log = Logger("heliograph.hub")


class ChannelTable:
    """
    All channels that this process listens to.

    The listener of the broker, and an observer of subscribers.

    Args:
        broker: The broker that has this object as its listener.
        availability: Records whether calls to the broker succeed.
        config: The bounds of logs, and ``linger_seconds``.
        events: Called when something happens in a channel, unless :meth:`use` was given
            another object for the channel.
        count_channels: Called with an address and 1 when a channel begins to linger for
            it, and with -1 when that ends.
    """

    def __init__(
        self,
        broker: Broker,
        availability: Availability,
        config: HubConfig,
        events: ChannelEvents,
        count_channels: Callable[[str | None, int], None],
    ) -> None:
        self._broker = broker
        self._availability = availability
        self._config = config
        self._events = events
        self._count_channels = count_channels
        self._channels: dict[str, ListenedChannel] = {}
        # Channels without subscribers, in the order in which they will be dropped.
        self._lingering: OrderedDict[str, ListenedChannel] = OrderedDict()
        self._next_drop: asyncio.TimerHandle | None = None
        self._queue = ListenQueue(broker, availability, self._on_listening)

    def __len__(self) -> int:
        return len(self._channels)

    def __getitem__(self, name: str) -> ListenedChannel:
        return self._channels[name]

    def subscribers(self, name: str) -> int:
        """
        Return how many streams have a channel in their selection.

        Args:
            name: The name of any channel.
        """
        channel = self._channels.get(name)
        return 0 if channel is None else channel.subscribers

    def in_use_with(self, names: Iterable[str]) -> int:
        """
        Return how many channels would have subscribers if some channels were used, too.

        Args:
            names: The names of any channels, each once.
        """
        more = sum(not self.subscribers(name) for name in names)
        return len(self._channels) - len(self._lingering) + more

    def make_room(self, names: Iterable[str], at_most: int) -> None:
        """
        Drop lingering channels, the oldest first, so that other channels can be used.

        Args:
            names: The channels that are about to be used, each once.
            at_most: How many channels there may be then; at least :meth:`in_use_with`.
        """
        kept = set(names)
        more = sum(name not in self._channels for name in kept)
        too_many = len(self._channels) + more - at_most
        if too_many <= 0:
            return
        others = (name for name in self._lingering if name not in kept)
        for name in tuple(islice(others, too_many)):
            self._drop(self._end_lingering(name))

    def use(self, name: str, *, events: ChannelEvents | None = None) -> None:
        """
        Listen to a channel, for one more subscriber.

        Args:
            name: A valid name.
            events: Called when something happens in the channel; :obj:`None` for the object
                that the table was made with. Ignored if the channel is in the table.
        """
        channel = self._channels.get(name)
        if channel is None:
            channel = ListenedChannel(name, self._events if events is None else events)
            self._channels[name] = channel
            self._queue.add(name)
        elif not channel.subscribers:
            self._end_lingering(name)
        channel.subscribers += 1

    def on_left(self, subscriber: Subscriber) -> None:
        """Release the channels of a subscriber: without another one they linger."""
        lasted_seconds = asyncio.get_running_loop().time() - subscriber.admitted_at
        for name in subscriber.channels:
            self._release(name, lasted_seconds, subscriber.address)

    def _release(self, name: str, lasted_seconds: float, address: str | None) -> None:
        channel = self._channels[name]
        channel.subscribers -= 1
        if channel.subscribers:
            return
        seconds = self._config.linger_seconds
        if channel.log is None or (
            channel.log.head.offset == 0 and lasted_seconds < seconds
        ):
            self._drop(channel)
            return
        channel.lingers_until = asyncio.get_running_loop().time() + seconds
        channel.lingers_for = address
        self._count_channels(address, 1)
        self._lingering[name] = channel
        if self._next_drop is None:
            self._drop_later(channel.lingers_until)

    def _end_lingering(self, name: str) -> ListenedChannel:
        channel = self._lingering.pop(name)
        self._count_channels(channel.lingers_for, -1)
        return channel

    def heads(self, names: Sequence[str]) -> Positions | None:
        """
        Return the heads of some channels.

        Args:
            names: Channels in use.

        Returns:
            Their positions; :obj:`None` if the broker has not returned all of them.
        """
        heads = {}
        for name in names:
            log = self._channels[name].log
            if log is None:
                return None
            heads[name] = log.head
        return Positions(heads)

    async def log(self, name: str) -> ChannelLog:
        """
        Return a channel's log, once the broker has returned its head.

        Args:
            name: A channel in use.
        """
        channel = self._channels[name]
        if channel.log is not None:
            return channel.log
        # Shielded, since other tasks wait for it, too.
        return await asyncio.shield(self._ready(channel))

    def have_ended(self, names: Iterable[str]) -> bool:
        """
        Return whether some channels have ended, as far as this process knows.

        Args:
            names: Channels in use.
        """
        return all(self._channels[name].has_ended for name in names)

    def has_end_in(self, names: Iterable[str]) -> bool:
        """
        Return whether one of some channels has ended, as far as this process knows.

        Args:
            names: Channels in use.
        """
        return any(self._channels[name].has_ended for name in names)

    async def known(self, names: Sequence[str], seconds: float) -> None:
        """
        Wait until the broker has returned the heads of some channels.

        Args:
            names: Channels in use.
            seconds: How long to wait at most.
        """
        channels = [self._channels[name] for name in names]
        waited_for = [self._ready(channel) for channel in channels if channel.log is None]
        if waited_for:
            await asyncio.wait(waited_for, timeout=seconds)

    def _ready(self, channel: ListenedChannel) -> asyncio.Future[ChannelLog]:
        if channel.ready is None:
            channel.ready = asyncio.get_running_loop().create_future()
        return channel.ready

    def on_entries(self, entries: Sequence[Entry]) -> None:
        """
        Append entries from the broker to the logs of their channels.

        Args:
            entries: In order within each channel.
        """
        now = time.time()
        for entry in entries:
            channel = self._channels.get(entry.channel)
            if channel is None:
                continue  # the channel was dropped meanwhile
            if channel.log is None:
                channel.early.append(entry)
                continue
            try:
                self._append(channel, channel.log, entry, now)
            except Exception:  # noqa: BLE001 - logged; entries of other channels must arrive
                _log.exception("cannot take an entry of %r", entry.channel)

    def on_restart(self, name: str, start: Position, *, gap: bool) -> None:
        """
        Continue a channel in another epoch.

        Args:
            name: The name of the channel.
            start: The position after which its log continues.
            gap: Whether entries before that are missing.
        """
        channel = self._channels.get(name)
        if channel is None or channel.log is None or channel.log.head.epoch == start.epoch:
            return
        # What was before the position is not known: it may have been retained, or the end.
        # Storage is asked wherever it matters.
        if gap or start.offset != channel.log.head.offset:
            channel.has_ended = start.offset > 0
        channel.has_retained = start.offset > 0
        channel.log.restart(start)
        if gap:
            channel.events.on_gap(name, Appended.NEW_EPOCH.value, start)
        else:
            channel.events.on_renamed(name, start)
        channel.on_moved()

    def on_state(self, name: str, *, has_ended: bool, has_retained: bool) -> None:
        """
        Note the state of a channel, whose head follows.

        Args:
            name: The name of the channel.
            has_ended: Whether the entry at its head is its end.
            has_retained: Whether it has retained entries.
        """
        channel = self._channels.get(name)
        if channel is not None:
            channel.has_ended, channel.has_retained = has_ended, has_retained

    def on_passing(self, name: str, event: Event) -> None:
        """
        Pass on an event that has no position in its channel.

        Args:
            name: The name of the channel.
            event: Any event.
        """
        channel = self._channels.get(name)
        if channel is not None:
            channel.events.on_passing(name, event)

    def on_connection(self, *, up: bool, reason: str) -> None:
        """
        Record that new entries arrive from the broker, or that they do not.

        Args:
            up: Whether they arrive.
            reason: The storage's message.
        """
        self._availability.on_connection(up=up, reason=reason)

    def close(self) -> None:
        """Cancel the timer and all calls to the broker."""
        if self._next_drop is not None:
            self._next_drop.cancel()
        self._queue.close()

    def _append(
        self, channel: ListenedChannel, log: ChannelLog, entry: Entry, now: float
    ) -> None:
        item = LogItem.of(entry)
        outcome = log.append(item, now)
        if outcome is Appended.KNOWN:
            return
        channel.has_ended = entry.is_end
        channel.has_retained |= entry.retained_as is not None
        if outcome is not Appended.NEXT:
            # What is missing may have been retained.
            channel.has_retained |= entry.position.offset > 1
            before = Position(entry.position.epoch, entry.position.offset - 1)
            channel.events.on_gap(channel.name, outcome.value, before)
        channel.events.on_item(channel.name, item)
        if entry.is_end:
            channel.events.on_end(channel.name, self.have_ended)
        channel.on_moved()

    def _on_listening(self, name: str, head: Position) -> None:
        channel = self._channels[name]
        log = channel.log = ChannelLog(
            head,
            max_events=self._config.log_events,
            max_bytes=self._config.log_bytes,
            max_age_seconds=self._config.channel_patterns.options_of(name).history_seconds,
        )
        early, channel.early = channel.early, []
        self.on_entries(early)
        if channel.ready is not None:
            channel.ready.set_result(log)
            channel.ready = None

    def _drop_later(self, at: float) -> None:
        self._next_drop = asyncio.get_running_loop().call_at(
            at, self._drop_those_due, context=contextvars.Context()
        )

    def _drop_those_due(self) -> None:
        self._next_drop = None
        now = asyncio.get_running_loop().time()
        while self._lingering:
            first = next(iter(self._lingering.values()))
            if first.lingers_until > now:
                self._drop_later(first.lingers_until)
                return
            self._drop(self._end_lingering(first.name))

    def _drop(self, channel: ListenedChannel) -> None:
        del self._channels[channel.name]
        if channel.ready is not None:
            channel.ready.cancel()
        if self._queue.drop(channel.name):
            return
        try:
            self._broker.unlisten(channel.name)
        except Exception:  # noqa: BLE001 - logged; other channels have to be dropped all the same
            _log.exception("cannot stop listening to %r", channel.name)
