"""
The streams of a process: a facade over rooms with one job each, on one event loop.

Theory of operation. An entry from the broker goes into its channel's log
(:mod:`.channel_table`) and into the feeds of that channel (:mod:`.feeds`) in one step, so a
feed's positions are always the heads of its channels' logs. That makes joining exact: a
subscriber is brought to those heads (:mod:`.joining`), and in the step in which it gets
there it becomes a cursor at the feed's end (:mod:`.subscriber`).

Rooms know the rooms below them and never this module. Those that keep something for a
subscriber observe it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
from typing import TYPE_CHECKING, TypeVar

from ..brokers import open_broker
from ..brokers.policy import policy_of
from ..brokers.values import PLAIN
from ..channels.opening import Opening
from ..channels.start import RETAINED
from ..errors import HubClosedError
from ..logs import Logger
from ..retry import Availability
from ..wire.framing import Framing
from .admission import AdmissionControl, Slots
from .channel_state import ChannelState
from .channel_table import ChannelTable
from .clients import Clients
from .closing import Closing
from .connections import Connections
from .control import Control
from .feeds import Feeds
from .joining import Joining
from .publishing import Publishing
from .recycling import Recycling
from .statistics import Counters
from .stop_watch import StopWatch
from .storage import Storage
from .subscription import Subscription
from .tasks import Tasks
from .timings import DEFAULT_TIMINGS, Timings

if TYPE_CHECKING:
    import socket
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Iterable,
        Sequence,
    )

    from ..brokers.base import Broker
    from ..brokers.values import Terms
    from ..channels.entry import Entry
    from ..channels.start import Start
    from ..config import HubConfig
    from ..event import Event
    from ..wire.coding import Coding
    from .interface import Admission, Leave, Ticket
    from .sinks import Sink
    from .statistics import HubStatistics

__all__ = ["Hub", "open_hub"]

_log = Logger("heliograph.hub")

_Answer = TypeVar("_Answer")

_numbers = itertools.count(1)


def _never() -> None:
    """Return that no server replaces this process."""


class Hub:
    """
    The streams of a process. Everything but the constructor runs on one loop.

    Args:
        broker: Not open yet; the hub opens and closes it.
        config: Limits and timings.
        previous_closed_at: When the hub before this one was closed, in nanoseconds of the
            monotonic clock: of commands that it has heard this one may know nothing. 0 if
            there was none.
        timings: Other than those of every hub.
        recycled_after: See :class:`.Recycling`.

    Attributes:
        number: Unique in the process.
        config: As given.
        connections: Of the clients that are served over a connection of their own, so
            that a forked child can close its copies.
    """

    def __init__(
        self,
        broker: Broker,
        config: HubConfig,
        *,
        previous_closed_at: int = 0,
        timings: Timings = DEFAULT_TIMINGS,
        recycled_after: Callable[[], int | None] = _never,
    ) -> None:
        self.number = next(_numbers)
        self._timings = timings
        self.config = config
        self._broker = broker
        self._counters = Counters()
        self._availability = Availability(_log)
        self._tasks = Tasks()
        self.connections = Connections(
            config, self._tasks, close_seconds=timings.close_seconds
        )
        storage = self._storage = Storage(broker, self._availability)
        slots = Slots(config)
        opening = Opening(config.open_event, config.heartbeat_seconds)
        self._feeds = Feeds(config, opening, self._counters)
        self._table = ChannelTable(
            broker, self._availability, config, self._feeds, slots.count_channels
        )
        admission = AdmissionControl(
            config,
            self._table,
            slots,
            self._counters,
            Recycling(config, recycled_after),
        )
        self._publishing = Publishing(
            storage, config, self._counters, self._table.subscribers
        )
        self._state = ChannelState(storage, self._publishing)
        self._control = Control(
            storage,
            self._table,
            self._publishing,
            admission,
            config=config,
            previous_closed_at=previous_closed_at,
        )
        joining = Joining(
            self._table,
            self._feeds,
            storage,
            self._tasks,
            opening=opening,
            config=config,
            counters=self._counters,
        )
        stop_watch = StopWatch(self._tasks, timings.stop_look_seconds)
        self._clients = Clients(
            self.number,
            admission=admission,
            control=self._control,
            joining=joining,
            connections=self.connections,
            stop_watch=stop_watch,
            heads_seconds=timings.heads_seconds,
            observers=(admission, joining, self._feeds, stop_watch, self._table),
        )
        self._closing = Closing()

    async def open(self) -> None:
        """
        Open the broker and begin to work on the running loop.

        Raises:
            ConfigError: Storage refuses what it was configured with.
        """
        timings = self._timings
        await self._broker.open(self._table)
        self._tasks.start(self._feeds.flush_for_ever())
        self._tasks.start(self._feeds.bound_lag_for_ever(timings.lag_look_seconds))
        if self.config.heartbeat_seconds is not None:
            self._tasks.start(self._feeds.beat_for_ever(self.config.heartbeat_seconds))
        hearing = self._tasks.start(self._control.hear())
        try:
            # If storage is unavailable commands are obeyed when it is available again.
            await asyncio.wait({hearing}, timeout=timings.commands_seconds)
        except asyncio.CancelledError:
            await self.close()
            raise

    def finish_all(self) -> None:
        """Finish all streams, and others as they begin. Publishing goes on."""
        self._clients.finish_all()

    async def close(self) -> None:
        """
        Finish all streams and the publishes that have begun, and close the broker.

        A publish that waits for storage raises :class:`HubClosedError`. Closing twice is
        the same as once. A caller that is cancelled meanwhile does not wait for the end,
        which comes all the same.
        """
        if self._closing.task is None:
            self._closing.task = asyncio.create_task(
                self._close(), context=contextvars.Context()
            )
        await asyncio.shield(self._closing.task)

    async def _close(self) -> None:
        self.finish_all()
        await self.connections.close(self._timings.last_bytes_seconds)
        await self._tasks.cancel_all()
        self.connections.stop_watching()
        self._table.close()
        # After the tasks, which read from storage and are cancelled while they wait.
        self._storage.close()
        await self._broker.close()

    # Events.

    async def publish(
        self, channels: Iterable[str], event: Event, terms: Terms = PLAIN
    ) -> list[Entry]:
        """
        Store an event in each of some channels. See :meth:`.publishing.Publishing.publish`.

        Raises:
            HubClosedError: The hub has been closed. If that happened meanwhile the event
                may or may not be there.
        """
        entries = self.begin_publish(channels, event, terms)
        return entries if isinstance(entries, list) else await entries

    def begin_publish(
        self, channels: Iterable[str], event: Event, terms: Terms = PLAIN
    ) -> list[Entry] | Coroutine[None, None, list[Entry]]:
        """
        Do what :meth:`publish` does, at once if storage is not waited for.

        Returns:
            The entries, or the coroutine that returns them.
        """
        names = list(channels)
        with self._closing:
            entries = self._publishing.publish_at_once(names, event, terms)
        return self._publish(names, event, terms) if entries is None else entries

    def publish_from_thread(self, channels: Sequence[str], event: Event) -> Entry | None:
        """
        Do what :meth:`publish` does, for any thread, if this loop is not waited for.

        Returns:
            The entry; :obj:`None` if nothing was done, and :meth:`begin_publish` is to be
            called on the loop.
        """
        self._closing.check()
        return self._publishing.publish_from_thread(channels, event)

    async def _publish(self, names: list[str], event: Event, terms: Terms) -> list[Entry]:
        with self._closing:
            return await self._publishing.publish(names, event, terms)

    async def ask(self, question: Callable[[ChannelState], Awaitable[_Answer]]) -> _Answer:
        """
        Read or change the state of channels. See :class:`.channel_state.ChannelState`.

        Raises:
            HubClosedError: The hub has been closed. If that happened meanwhile a change may
                or may not be there.
        """
        with self._closing:
            return await question(self._state)

    async def disconnect(self, channel: str) -> None:
        """
        Finish a channel's streams everywhere. See :meth:`.control.Control.disconnect`.

        Raises:
            HubClosedError: The hub has been closed. If that happened meanwhile the command
                may or may not have been sent.
        """
        with self._closing:
            await self._control.disconnect(channel)

    @contextlib.asynccontextmanager
    async def subscribe(
        self,
        channels: tuple[str, ...],
        *,
        last_event_id: str | None = None,
        start: Start = RETAINED,
        is_stopping: Callable[[], bool] | None = None,
    ) -> AsyncIterator[Subscription]:
        """
        Take the events of some channels, within a block.

        Args:
            channels: Sorted, each once, all valid.
            last_event_id: After which to begin; :obj:`None` for no position.
            start: Where to begin without a position.
            is_stopping: See :class:`.subscription.Subscription`.

        Yields:
            The events, in order and once.

        Raises:
            TooManySubscribersError: A cap is reached.
            HubClosedError: The hub has been closed, or the process is about to end.
        """
        subscription = await self.subscription(
            channels, last_event_id=last_event_id, start=start, is_stopping=is_stopping
        )
        try:
            yield subscription
        finally:
            subscription.leave()

    async def subscription(
        self,
        channels: tuple[str, ...],
        *,
        last_event_id: str | None,
        start: Start,
        is_stopping: Callable[[], bool] | None,
    ) -> Subscription:
        """Return events that the caller has to leave. See :meth:`subscribe`."""
        if self._clients.is_finishing:
            raise HubClosedError("the process is about to end")
        subscription = Subscription(
            self, channels, last_event_id, start=start, is_stopping=is_stopping
        )
        try:
            await subscription.locate()
        except BaseException:
            subscription.leave()
            raise
        if self._clients.is_finishing:
            subscription.leave()
            raise HubClosedError("the hub was closed before the position was known")
        return subscription

    # Clients. See :mod:`.clients`.

    def admit(self, admission: Admission) -> Ticket:
        """
        Reserve a slot for a client. See :meth:`.clients.Clients.admit`.

        Raises:
            TooManySubscribersError: A cap is reached.
            HubClosedError: The hub has been closed.
        """
        self._closing.check()
        return self._clients.admit(admission)

    def expect(self, admission: Admission) -> tuple[Ticket, bool]:
        """Return a ticket for :meth:`admit_as`. See :meth:`.clients.Clients.expect`."""
        return self._clients.expect(admission)

    def admit_as(self, ticket: Ticket, admission: Admission) -> Ticket:
        """
        Reserve the slot of a ticket from :meth:`expect`. See :meth:`admit`.

        Raises:
            TooManySubscribersError: A cap is reached.
            HubClosedError: The hub has been closed.
        """
        self._closing.check()
        return self._clients.admit_as(ticket.number, admission)

    async def locate(self, ticket: Ticket) -> bool:
        """Wait for a client's position; return whether there is something to serve."""
        return await self._clients.locate(ticket)

    def greeting(self, ticket: Ticket, coding: Coding) -> bytes:
        """Return the first bytes of a stream, for a caller that sends them itself."""
        return self._clients.greeting(ticket, coding)

    def adopt(
        self,
        ticket: Ticket,
        connection: socket.socket,
        head: bytes,
        framing: Framing = Framing.IDENTITY,
    ) -> None:
        """Serve a client over a connection of its own from now on."""
        self._clients.adopt(ticket, connection, head, framing)

    def when_left(self, ticket: Ticket, function: Callable[[Leave], None]) -> None:
        """Call a function when a client's stream has ended. It must not block."""
        self._clients.when_left(ticket, function)

    def attach(self, ticket: Ticket, sink: Sink) -> None:
        """Serve a client from now on. Its first bytes are written before this returns."""
        self._clients.attach(ticket, sink)

    def finish(self, ticket: Ticket) -> None:
        """End a client's stream after what was published before."""
        self._clients.finish(ticket)

    def finish_when(self, ticket: Ticket, is_stopping: Callable[[], bool]) -> None:
        """Finish a client's stream when its server wants to stop, and tells nobody."""
        self._clients.finish_when(ticket, is_stopping)

    def release(self, ticket: Ticket) -> None:
        """Release the slot of a client that has left, or is not going to be served."""
        self._clients.release(ticket)

    def statistics(self) -> HubStatistics:
        """
        Return what the hub holds and has done.

        Raises:
            HubClosedError: The hub has been closed.
        """
        self._closing.check()
        return self._counters.statistics(
            subscribers=len(self._clients),
            channels=len(self._table) - 1,  # without the one for commands
            feeds=len(self._feeds),
            broker_available=self._availability.available,
        )


async def open_hub(
    url: str,
    config: HubConfig,
    *,
    previous_closed_at: int = 0,
    timings: Timings = DEFAULT_TIMINGS,
    recycled_after: Callable[[], int | None] = _never,
) -> Hub:
    """
    Open a hub on the running loop.

    Args:
        url: Where the channels live. See :func:`heliograph.brokers.open_broker`.
        config: Limits and timings.
        previous_closed_at: See :class:`Hub`.
        timings: Other than those of every hub.
        recycled_after: See :class:`.Recycling`.

    Returns:
        The hub, to be closed.

    Raises:
        ConfigError: The URL is wrong, or storage refuses what it was configured with.
    """
    broker = open_broker(url, policy_of(config))
    hub = Hub(
        broker,
        config,
        previous_closed_at=previous_closed_at,
        timings=timings,
        recycled_after=recycled_after,
    )
    await hub.open()
    return hub
