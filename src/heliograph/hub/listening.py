"""
The channels that this process listens to, each with its log.

A channel is listened to from its first subscriber until some time after its last. What
the broker hands on goes into the log and, in the same step, to whoever was given to
:class:`Listening`: so feeds can keep their positions equal to the heads of the logs.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ..channels.log import Appended, ChannelLog, LogItem
from ..channels.position import Position, Positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..brokers.base import Broker
    from ..channels.entry import Entry
    from ..channels.position import GapReason
    from ..config import HubConfig
    from ..event import Event
    from .patience import Patience

__all__ = ["ChannelEvents", "ListenedChannel", "Listening"]


class ChannelEvents(Protocol):
    """Who is told what happens in channels, in the step in which a log's head moves."""

    def on_item(self, channel: str, item: LogItem) -> None:
        """
        Take the next entry of a channel.

        Args:
            channel: Its name.
            item: The entry, encoded.
        """
        ...

    def on_gap(self, channel: str, reason: GapReason, go_on: Position) -> None:
        """
        Take note that entries of a channel are missing.

        Args:
            channel: Its name.
            reason: Why.
            go_on: Just before the next entry.
        """
        ...

    def on_renamed(self, channel: str, position: Position) -> None:
        """
        Take note that the head of a channel, where nothing is missing, is called otherwise.

        Args:
            channel: Its name.
            position: What the head is called from now on.
        """
        ...

    def on_passing(self, channel: str, event: Event) -> None:
        """
        Take an event that has no place in its channel.

        Args:
            channel: Its name.
            event: Any event.
        """
        ...


class ListenedChannel:
    """
    A channel that this process listens to, or is about to.

    Attributes:
        name: Its name.
        subscribers: How many streams have it in their selection.
        log: Its recent entries; :obj:`None` until the broker has said where it is.
        moved: Set, and replaced by another, whenever the log's head has moved.
    """

    __slots__ = (
        "early",
        "lingering",
        "listening",
        "log",
        "moved",
        "name",
        "subscribers",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscribers = 0
        self.log: ChannelLog | None = None
        self.moved = asyncio.Event()
        # Entries that came before we knew after which position they would.
        self.early: list[Entry] = []
        self.listening: asyncio.Task[ChannelLog] | None = None
        self.lingering: asyncio.TimerHandle | None = None


class Listening:
    """
    All channels that this process listens to.

    Args:
        broker: Is given this object as its listener.
        patience: For calls that are repeated until they succeed.
        config: Gives the bounds of logs and ``linger_seconds``.
        events: Told what happens.
    """

    def __init__(
        self,
        broker: Broker,
        patience: Patience,
        config: HubConfig,
        events: ChannelEvents,
    ) -> None:
        self._broker = broker
        self._patience = patience
        self._config = config
        self._events = events
        self._channels: dict[str, ListenedChannel] = {}
        self._unlistening: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._channels)

    def __getitem__(self, name: str) -> ListenedChannel:
        return self._channels[name]

    def subscribers(self, name: str) -> int:
        """
        Give how many streams have a channel in their selection.

        Args:
            name: Any channel.
        """
        channel = self._channels.get(name)
        return 0 if channel is None else channel.subscribers

    def use(self, name: str) -> None:
        """
        Listen to a channel, for one more subscriber.

        Args:
            name: A valid name.
        """
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = ListenedChannel(name)
            channel.listening = asyncio.create_task(
                self._listen(channel), context=contextvars.Context()
            )
        if channel.lingering is not None:
            channel.lingering.cancel()
            channel.lingering = None
        channel.subscribers += 1

    def release(self, name: str) -> None:
        """
        Stop listening for one subscriber; for all of them after a while.

        Args:
            name: A channel that :meth:`use` was called with, once for each release.
        """
        channel = self._channels[name]
        channel.subscribers -= 1
        if not channel.subscribers:
            channel.lingering = asyncio.get_running_loop().call_later(
                self._config.linger_seconds,
                self._drop,
                channel,
                context=contextvars.Context(),
            )

    def heads(self, names: Sequence[str]) -> Positions | None:
        """
        Give the heads of some channels.

        Args:
            names: Channels in use.

        Returns:
            :obj:`None` if one of them is not known yet.
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
        Give a channel's log as soon as the broker has said where it is.

        Args:
            name: A channel in use.
        """
        channel = self._channels[name]
        if channel.log is not None:
            return channel.log
        assert channel.listening is not None  # noqa: S101 - it is the one or the other
        # Shielded, since others wait for it too.
        return await asyncio.shield(channel.listening)

    async def known(self, names: Sequence[str], seconds: float) -> None:
        """
        Wait until the broker has said where some channels are.

        Args:
            names: Channels in use.
            seconds: How long at most.
        """
        tasks = {
            task for name in names if (task := self._channels[name].listening) is not None
        }
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def on_entries(self, entries: Sequence[Entry]) -> None:
        """
        Take what the broker hands on.

        Args:
            entries: In order within each channel.
        """
        now = time.time()
        for entry in entries:
            channel = self._channels.get(entry.channel)
            if channel is None:
                continue  # dropped while this was under way
            if channel.log is None:
                channel.early.append(entry)
            else:
                self._append(channel, channel.log, entry, now)

    def on_restart(self, name: str, start: Position, *, gap: bool) -> None:
        """
        Go over to another life of a channel.

        Args:
            name: A channel.
            start: Where its log goes on, in another epoch.
            gap: Whether entries before that are missing.
        """
        channel = self._channels.get(name)
        if channel is None or channel.log is None or channel.log.head.epoch == start.epoch:
            return
        channel.log.restart(start)
        if gap:
            self._events.on_gap(name, Appended.NEW_EPOCH.value, start)
        else:
            self._events.on_renamed(name, start)
        _set_moved(channel)

    def on_passing(self, channel: str, event: Event) -> None:
        """
        Carry an event that has no place in its channel.

        Args:
            channel: Its name.
            event: Any event.
        """
        if channel in self._channels:
            self._events.on_passing(channel, event)

    def on_connection(self, *, up: bool, reason: str) -> None:
        """
        Take note that new entries no longer come, or come again.

        Args:
            up: Whether they come.
            reason: What the storage said.
        """
        self._patience.on_connection(up=up, reason=reason)

    async def close(self) -> None:
        """Let go of everything."""
        tasks = list(self._unlistening)
        for channel in self._channels.values():
            if channel.lingering is not None:
                channel.lingering.cancel()
            if channel.listening is not None:
                tasks.append(channel.listening)  # type: ignore[arg-type]  # only ended
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _append(
        self, channel: ListenedChannel, log: ChannelLog, entry: Entry, now: float
    ) -> None:
        item = LogItem.of(entry)
        outcome = log.append(item, now)
        if outcome is Appended.KNOWN:
            return
        if outcome is not Appended.NEXT:
            before = Position(entry.position.epoch, entry.position.offset - 1)
            self._events.on_gap(channel.name, outcome.value, before)
        self._events.on_item(channel.name, item)
        _set_moved(channel)

    async def _listen(self, channel: ListenedChannel) -> ChannelLog:
        head = await self._patience.until_done(
            "listen", partial(self._broker.listen, channel.name)
        )
        channel.log = ChannelLog(
            head,
            max_events=self._config.log_events,
            max_bytes=self._config.log_bytes,
            max_age_seconds=self._config.history_seconds,
        )
        channel.listening = None
        early, channel.early = channel.early, []
        self.on_entries(early)
        return channel.log

    def _drop(self, channel: ListenedChannel) -> None:
        del self._channels[channel.name]
        if channel.listening is not None:
            channel.listening.cancel()
        task = asyncio.create_task(self._broker.unlisten(channel.name))
        self._unlistening.add(task)
        task.add_done_callback(self._unlistening.discard)


def _set_moved(channel: ListenedChannel) -> None:
    channel.moved.set()
    channel.moved = asyncio.Event()
