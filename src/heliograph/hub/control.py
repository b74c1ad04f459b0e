"""
Commands between the hubs of all processes, and what they revoke.

Commands are entries of a channel whose name no application can use. So every process gets
each command once and in order, also those that were given while it could not reach storage.
Where some are missing, all streams of the process finish, and their clients reconnect and
are authorised again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..channels.position import Position
from ..event import Event
from ..logs import Logger
from .disconnects import Disconnects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..channels.log import LogItem
    from ..channels.position import GapReason
    from ..config import HubConfig
    from .channel_table import ChannelTable
    from .publishing import Publishing
    from .storage import Storage
    from .subscriber import Subscriber

__all__ = ["Control"]

_log = Logger("heliograph.hub")

_CHANNEL = "\x01heliograph.control"
_DISCONNECT = "disconnect"

# A request may have arrived, and been authorised, before a command that was given before
# this hub was opened. So commands are read back to this age, and at most so many. Older
# ones are unknown. The age is longer than requests take and than clocks of machines differ.
_SECONDS_BACK = 120.0
_READ_AT_MOST = 1_000
_READ_AT_ONCE = 100


class Control:
    """
    Gives and obeys commands. The channel table calls it for entries of their channel.

    Args:
        storage: Earlier commands are read from it.
        table: Listens to the channel of commands.
        publishing: Stores commands.
        subscribers: Yields all open subscribers, whenever it is iterated.
        config: ``history_seconds`` and ``history_events`` bound what can be read: no
            pattern of ``channels`` matches the channel of commands. It is not forgotten
            before its events, because ``forget_seconds`` is at least ``history_seconds``.
        previous_closed_at: See :class:`.hub.Hub`.
    """

    def __init__(
        self,
        storage: Storage,
        table: ChannelTable,
        publishing: Publishing,
        subscribers: Iterable[Subscriber],
        *,
        config: HubConfig,
        previous_closed_at: int,
    ) -> None:
        self._storage = storage
        self._table = table
        self._publishing = publishing
        self._config = config
        self._subscribers = subscribers
        self._disconnects = Disconnects()
        self._seconds_back = min(_SECONDS_BACK, config.history_seconds)
        since = time.monotonic_ns() - round(self._seconds_back * 1e9)
        self._disconnects.know_since(max(since, previous_closed_at))

    async def disconnect(self, channel: str) -> None:
        """
        Finish the streams that have a channel in their selection, in every process.

        Clients reconnect by themselves, and may be refused then.

        Args:
            channel: A valid name.

        Raises:
            BrokerUnavailableError: Other processes could not be told.
        """
        await self._publishing.command(_CHANNEL, Event(channel, type=_DISCONNECT))

    def has_revoked(self, arrived_at: int, channels: tuple[str, ...]) -> bool:
        """
        Return whether a permission may have been withdrawn after a request arrived.

        Args:
            arrived_at: When it arrived, in nanoseconds of the monotonic clock.
            channels: What it asks for.
        """
        return self._disconnects.since(arrived_at, channels)

    async def hear(self) -> None:
        """
        Obey commands from now on, and those that were given just before.

        Returns when the latter have been read. That takes until storage is available.
        """
        # In use for as long as the hub is, so that other processes can reach it.
        self._table.use(_CHANNEL, events=self)
        try:
            await self._obey_earlier()
        except Exception:  # noqa: BLE001 - the boundary of a task; the reason follows
            # What they revoked is not known, so all clients are authorised again.
            _log.exception("cannot read earlier commands")
            self._finish_all()

    async def _obey_earlier(self) -> None:
        since = time.time() - self._seconds_back
        head = (await self._table.log(_CHANNEL)).head
        after: Position | None
        after = Position(head.epoch, max(0, head.offset - _READ_AT_MOST))
        if (await self._storage.read(_CHANNEL, after, 0)).gap is not None:
            # Trimmed. From the oldest on a gap means commands that cannot be read.
            after = None
        at_most = min(_READ_AT_MOST, self._config.history_events)
        count, is_complete, is_damaged = 0, False, False
        while True:
            history = await self._storage.read(_CHANNEL, after, _READ_AT_ONCE)
            is_damaged |= history.gap is not None
            for entry in history.entries:
                if entry.published_at >= since:
                    self._obey(entry.event)
                else:
                    is_complete, is_damaged = True, False
            if not history.entries and history.gap is None:
                break
            count += len(history.entries)
            after = history.entries[-1].position if history.entries else history.start
        # Commands that were trimmed for their age do not matter; those that were trimmed
        # for their number do.
        if is_damaged or (count >= at_most and not is_complete):
            self._finish_all()

    # Events of the channel of commands. See ChannelEvents.

    def on_item(self, channel: str, item: LogItem) -> None:  # noqa: ARG002 - there is one
        """Obey a command."""
        self._obey(item.entry.event)

    def on_end(self, channel: str, have_ended: Callable[[Iterable[str]], bool]) -> None:
        """Do nothing: commands have no end."""

    def on_gap(self, channel: str, reason: GapReason, go_on: Position) -> None:  # noqa: ARG002 - as above
        """Finish all streams: the commands that are missing may have concerned any."""
        self._finish_all()

    def on_renamed(self, channel: str, position: Position) -> None:
        """Ignore that the head has a new epoch: no command is missing."""

    def on_passing(self, channel: str, event: Event) -> None:
        """Ignore an event without a position: commands have one."""

    def _obey(self, command: Event) -> None:
        if command.type != _DISCONNECT:
            _log.warning("unknown command %r from another process", command.type)
            return
        self._disconnects.note(command.data)
        for subscriber in tuple(self._subscribers):
            if command.data in subscriber.channels:
                subscriber.finish(f"{command.data!r} is disconnected")

    def _finish_all(self) -> None:
        _log.warning("commands of other processes are missing: all streams begin anew")
        self._disconnects.forget()
        for subscriber in tuple(self._subscribers):
            subscriber.finish("commands are missing")
