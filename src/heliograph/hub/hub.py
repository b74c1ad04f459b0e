"""
Channels to feeds to subscribers, on one event loop.

Theory of operation. An entry from the broker goes into its channel's log and into the
feeds of that channel in one step, so a feed's positions are always the heads of its
channels' logs. That is what makes joining exact: a subscriber is brought to those heads
(:mod:`.catch_up`), and in the step in which it gets there it becomes a cursor at the
feed's end (:mod:`.delivery`).

Tasks and timers that outlive a call have contexts of their own (PEP 567), so that none
keeps the request in which it began.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import random
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..brokers import open_broker
from ..brokers.base import Attempt, Retention
from ..channels.feed import HEARTBEAT, place_block
from ..channels.position import Position, Positions
from ..errors import (
    BrokerUnavailableError,
    EventTooLargeError,
    HubClosedError,
    InvalidFieldError,
    InvalidStreamIdError,
)
from ..event import Event
from ..retry import Availability
from ..wire.encoder import encode_body
from .caps import Caps
from .catch_up import CatchUp
from .delivery import Delivery
from .disconnects import Disconnects
from .listening import Listening
from .sinks import SocketSink, tune_socket
from .subscriber import Subscriber
from .subscription import Subscription

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable

    from ..brokers import PlainChannels
    from ..brokers.base import Broker
    from ..channels.entry import Entry
    from ..channels.log import LogItem
    from ..channels.position import GapReason
    from ..config import HubConfig
    from .sinks import Sink

__all__ = ["Hub", "HubStatistics", "open_hub"]

_log = logging.getLogger("heliograph.hub")

# Where hubs tell each other to end streams. No channel of a user can have this name.
_CONTROL = "\x01heliograph.control"
_DISCONNECT = "disconnect"

# Commands of the time before a hub was opened: a request may have arrived, and been let in,
# before they were given. So far back they are read, and so many at most; of what was before
# nothing is known. Longer than requests take, and than clocks of machines differ.
_COMMANDS_SECONDS = 120.0
_COMMANDS_AT_MOST = 1_000
_COMMANDS_AT_ONCE = 100

# How often what is held for clients is added up. A look at ten thousand takes milliseconds.
_LAG_LOOK_SECONDS = 1.0

# How often a server is asked whether it wants to stop.
_STOP_LOOK_SECONDS = 0.2

# When the hub is closed, clients have this long to take what was written to them. Who does
# not will be given it again after reconnecting.
_LAST_BYTES_SECONDS = 0.5

# How long a client waits for its head while the broker has not said where its channels are:
# a stream that opens late is better than none while storage is away.
_PLACE_SECONDS = 1.0

# Clients send an id back in a header, and servers allow those some thousand bytes.
_MAX_ID_BYTES = 1_024

# How exactly a heartbeat is kept: a tenth of it, but no more often than needed.
_TICKS_PER_HEARTBEAT = 10
_TICK_SECONDS_AT_MOST = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HubStatistics:
    """
    What a hub holds and has done. Counters begin with the hub.

    Attributes:
        subscribers: Open streams.
        channels: Channels listened to, those that linger included.
        feeds: Selections that have subscribers.
        published: Events that this process has published.
        entries: Events that have reached this process, its own included.
        gaps: Gap events announced, per stream that begins and per feed.
        lagging_disconnected: Streams ended because they were too far behind.
        refused: Streams refused because a cap was reached.
        broker_available: Whether the broker did what it was last asked for, and new
            entries come from it.
    """

    subscribers: int
    channels: int
    feeds: int
    published: int
    entries: int
    gaps: int
    lagging_disconnected: int
    refused: int
    broker_available: bool


class Hub:
    """
    The streams of a process. Everything but the constructor runs on one loop.

    Args:
        broker: Not open yet; the hub opens and closes it.
        config: Limits and timings.
        previous_closed_at: When the hub before this one was closed, in nanoseconds of the
            monotonic clock: of commands that it has heard this one may know nothing. 0 if
            there was none.

    Attributes:
        config: As given.
        connections: Of the clients that are served over a connection of their own, so
            that a forked child can let go of them.
    """

    def __init__(
        self, broker: Broker, config: HubConfig, *, previous_closed_at: int = 0
    ) -> None:
        self.config = config
        self._previous_closed_at = previous_closed_at
        self._broker = broker
        self._availability = Availability(_log)
        self._caps = Caps(config)
        self._listening = Listening(
            broker, self._availability, config, self, self._caps.count_channels
        )
        self._delivery = Delivery(
            config.max_lag_bytes, config.max_lag_total_bytes, self.leave
        )
        self._subscribers: set[Subscriber] = set()
        self._disconnects = Disconnects()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.connections: dict[SocketSink, socket.socket] = {}
        self._connection_lost = asyncio.Event()
        self._ending = False
        # Those whose servers are asked, by what asks them.
        self._stops: dict[Callable[[], bool], set[Subscriber]] = {}
        self._watches_stops = False
        self._closing: asyncio.Task[None] | None = None
        self._published = 0
        self._entries = 0
        self._gaps = 0

    async def open(self) -> None:
        """
        Open the broker and begin to work on the running loop.

        Raises:
            ConfigError: Storage refuses what it was configured with.
        """
        await self._broker.open(self._listening)
        # In use for as long as the hub is, so that other processes can reach us.
        self._listening.use(_CONTROL)
        self._start(self._delivery.flush_for_ever())
        self._start(self._bound_lag_for_ever())
        if self.config.heartbeat_seconds is not None:
            self._start(self._beat_for_ever(self.config.heartbeat_seconds))
        seconds = min(_COMMANDS_SECONDS, self.config.history_seconds)
        since = time.monotonic_ns() - round(seconds * 1e9)
        self._disconnects.know_since(max(since, self._previous_closed_at))
        hearing = self._start(self._hear_commands(time.time() - seconds))
        try:
            # Longer if storage is away: then they are obeyed when it is back.
            await asyncio.wait({hearing}, timeout=_PLACE_SECONDS)
        except asyncio.CancelledError:
            await self.close()
            raise

    def end_streams(self) -> None:
        """End all streams, and others as they begin. Publishing goes on."""
        self._ending = True
        for subscriber in tuple(self._subscribers):
            self.end(subscriber)

    def end_when(self, subscriber: Subscriber, stopping: Callable[[], bool]) -> None:
        """
        End a client's stream when its server wants to stop, which tells nobody and waits.

        If it does already the stream ends as it begins.

        Args:
            subscriber: From :meth:`admit`.
            stopping: Says whether it does. Asked now and then, once for all that have an
                equal one.
        """
        if subscriber.gone:
            return
        if stopping():
            self.end(subscriber)
            return
        if not self._watches_stops:
            self._watches_stops = True
            self._start(self._watch_stops())
        subscriber.stopping = stopping
        self._stops.setdefault(stopping, set()).add(subscriber)

    async def _watch_stops(self) -> None:
        try:
            while self._stops:
                await asyncio.sleep(_STOP_LOOK_SECONDS)
                for stopping, subscribers in tuple(self._stops.items()):
                    if stopping():
                        for subscriber in tuple(subscribers):
                            self.end(subscriber)
        finally:
            self._watches_stops = False

    async def close(self) -> None:
        """
        End all streams, finish the publishes that have begun, and close the broker.

        Closing twice is the same as once. Whoever is cancelled meanwhile does not wait
        for the end, which comes all the same.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(
                self._close(), context=contextvars.Context()
            )
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self.end_streams()
        await self._last_bytes()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listening.close()
        await self._broker.close()

    async def _last_bytes(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_BYTES_SECONDS):
                while self.connections:
                    self._connection_lost.clear()
                    await self._connection_lost.wait()
        for sink in tuple(self.connections):
            sink.abort()

    async def publish(self, channels: Iterable[str], event: Event) -> list[Entry]:
        """
        Store an event in each of some channels, and so send it to their streams.

        Each channel takes it on its own: if one fails, others may have it.

        Args:
            channels: Valid names.
            event: Any event.

        Returns:
            One entry for each channel.

        Raises:
            EventTooLargeError: Encoded it is larger than ``max_event_bytes``.
            InvalidFieldError: Its id is over 1,024 bytes, or reads as a position in one of
                the channels.
            BrokerUnavailableError: Storage failed, or took longer than
                ``publish_timeout_seconds``; then the event may or may not be there.
            HubClosedError: The hub has been closed.
        """
        if self._closing is not None:
            raise HubClosedError("the hub has been closed")
        if len(encode_body(event)) > self.config.max_event_bytes:
            raise EventTooLargeError(self.config.max_event_bytes)
        names = list(dict.fromkeys(channels))
        for name in names:
            _check_own_id(name, event)
        async with self._time_limit():
            if len(names) == 1:
                # The usual case needs no task, and so no turn of a busy loop.
                entries = [await self._append(names[0], event)]
            else:
                entries = await asyncio.gather(*(self._append(n, event) for n in names))
        self._published += len(entries)
        return entries

    async def disconnect(self, channel: str) -> None:
        """
        End the streams that have a channel in their selection, in every process.

        Clients reconnect by themselves unless they are refused then.

        Args:
            channel: A valid name.

        Raises:
            BrokerUnavailableError: Other processes could not be told.
            HubClosedError: The hub has been closed.
        """
        if self._closing is not None:
            raise HubClosedError("the hub has been closed")
        async with self._time_limit():
            await self._append(_CONTROL, Event(channel, type=_DISCONNECT))

    async def _append(self, channel: str, event: Event) -> Entry:
        if not self.config.publish_waits:
            return await self._availability.call(
                "append", partial(self._broker.append, channel, event)
            )
        attempt = Attempt()
        return await self._availability.retry(
            "append", partial(self._broker.append, channel, event, repeats=attempt)
        )

    @contextlib.asynccontextmanager
    async def _time_limit(self) -> AsyncIterator[None]:
        seconds = self.config.publish_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise BrokerUnavailableError(
                self._broker.resource, f"no answer within {seconds} seconds"
            ) from error

    def admit(
        self,
        channels: tuple[str, ...],
        *,
        last_event_id: str | None = None,
        expires_at: float | None = None,
        address: str | None = None,
        arrived_at: int | None = None,
        is_program: bool = False,
    ) -> Subscriber:
        """
        Reserve a slot for a client, before it is served.

        Args:
            channels: What it asks for, sorted, each once, all valid.
            last_event_id: Where it says that it is; :obj:`None` to begin now.
            expires_at: When its stream ends at the latest, in seconds since the epoch of
                Unix; :obj:`None` for no end but that of ``max_stream_seconds``.
            address: From where it has come; :obj:`None` if that is not known.
            arrived_at: When its request arrived, as :func:`time.monotonic_ns` says it: if
                one of its channels has been disconnected since, its stream ends as it
                begins, and the client reconnects and is authorised anew.
            is_program: Whether a program of this process takes the events: it has no
                connection, and no end.

        Returns:
            A subscriber, to be given to :meth:`attach` or :meth:`leave`. If the process
            is about to end its stream ends as it begins, and the client comes back by
            itself: after an error it would not.

        Raises:
            TooManySubscribersError: A cap is reached.
            HubClosedError: The hub has been closed.
        """
        if self._closing is not None:
            raise HubClosedError("the hub has been closed")
        self._caps.check(
            address,
            streams=len(self._subscribers),
            of_channels={name: self._listening.subscribers(name) for name in channels},
            # Less the hub's own, for commands.
            channels_in_use=self._listening.in_use_with(channels) - 1,
            has_connection=not is_program,
        )
        self._listening.make_room(channels, self.config.max_channels + 1)
        at_address = self._caps.come(address, len(channels))
        subscriber = Subscriber(
            self,
            channels,
            last_event_id,
            expires_at=None if is_program else self._end_of_stream(expires_at),
            address=address,
            at_address=at_address,
            began_at=asyncio.get_running_loop().time(),
        )
        self._subscribers.add(subscriber)
        for name in channels:
            self._listening.use(name)
        if self._ending or (
            arrived_at is not None and self._disconnects.since(arrived_at, channels)
        ):
            # It comes back by itself, to another process or to be authorised again.
            self.leave(subscriber)
        return subscriber

    async def place(self, subscriber: Subscriber) -> None:
        """
        Give a client that begins now its place, before it is sent its head.

        A page takes ``open`` for a promise: it hears whatever is published from then on.
        If the place is not known within a second it begins wherever that turns out to be.

        Args:
            subscriber: From :meth:`admit`. One that resumes has a place already.
        """
        if subscriber.last_event_id is not None or subscriber.gone:
            return
        await self._listening.known(subscriber.channels, _PLACE_SECONDS)
        if not subscriber.gone:
            heads = self._listening.heads(subscriber.channels)
            subscriber.last_event_id = None if heads is None else heads.id

    def adopt(self, subscriber: Subscriber, connection: socket.socket, head: bytes) -> None:
        """
        Serve a client over a connection of its own from now on.

        Args:
            subscriber: From :meth:`admit`.
            connection: The hub's from now on, whatever happens.
            head: Bytes to send first.
        """
        try:
            connection.setblocking(False)  # noqa: FBT003 - no keyword
            tune_socket(connection, self.config)
        except OSError:
            # The client has gone already.
            connection.close()
            self.leave(subscriber)
            return

        def on_lost() -> None:
            del self.connections[sink]
            self._connection_lost.set()
            self.leave(subscriber)

        sink = SocketSink(
            head,
            on_open=lambda: self.attach(subscriber, sink),
            on_resumed=lambda: self.on_resumed(subscriber),
            on_lost=on_lost,
        )
        self.connections[sink] = connection
        self._start(self._open_connection(subscriber, sink, connection, head))

    def attach(self, subscriber: Subscriber, sink: Sink) -> None:
        """
        Serve a client from now on.

        Its first bytes are written before this returns, so that the browser's ``open``
        fires and proxies let the head pass.

        Args:
            subscriber: From :meth:`admit`.
            sink: How bytes reach it.
        """
        if subscriber.gone:
            sink.close()
            return
        subscriber.sink = sink
        sink.write(self._greeting())
        loop = asyncio.get_running_loop()
        if subscriber.expires_at is not None:
            subscriber.expiry = loop.call_later(
                max(0.0, subscriber.expires_at - time.time()),
                self.end,
                subscriber,
                context=contextvars.Context(),
            )
        heads = self._listening.heads(subscriber.channels)
        if heads is not None and subscriber.last_event_id in {None, heads.id}:
            # The usual case needs no task: everyone who opens a page at the same time.
            sink.write(place_block(heads))
            self._join(subscriber)
            return
        subscriber.quiet_since = loop.time()
        subscriber.joining = loop.create_task(
            self._bring_in(subscriber, sink), context=contextvars.Context()
        )

    def leave(self, subscriber: Subscriber) -> None:
        """
        Forget a client that has gone.

        Args:
            subscriber: From :meth:`admit`; leaving twice is the same as once.
        """
        if subscriber.gone:
            return
        subscriber.gone = True
        self._subscribers.discard(subscriber)
        if subscriber.expiry is not None:
            subscriber.expiry.cancel()
        if subscriber.joining is not None:
            subscriber.joining.cancel()
        self._delivery.leave(subscriber)
        if subscriber.stopping is not None:
            self._stops[subscriber.stopping].discard(subscriber)
            if not self._stops[subscriber.stopping]:
                del self._stops[subscriber.stopping]
        self._caps.go(subscriber.address, len(subscriber.channels))
        lasted_seconds = asyncio.get_running_loop().time() - subscriber.began_at
        for name in subscriber.channels:
            self._listening.release(
                name, lasted_seconds=lasted_seconds, address=subscriber.address
            )

    @contextlib.asynccontextmanager
    async def subscribe(
        self, channels: tuple[str, ...], *, last_event_id: str | None = None
    ) -> AsyncIterator[Subscription]:
        """
        Take the events of some channels, within a block.

        Args:
            channels: Sorted, each once, all valid.
            last_event_id: After which to begin; :obj:`None` for what is published from the
                beginning of the block on.

        Yields:
            The events, in order and once.

        Raises:
            TooManySubscribersError: A cap is reached.
            HubClosedError: The hub has been closed.
        """
        if self._ending:
            raise HubClosedError("the process is about to end")
        subscription = Subscription(self, channels, last_event_id)
        try:
            await subscription.place()
            yield subscription
        finally:
            subscription.leave()

    def end(self, subscriber: Subscriber) -> None:
        """
        End a client's stream.

        Args:
            subscriber: From :meth:`admit`; one that has gone is left alone.
        """
        if subscriber.gone:
            return
        sink = subscriber.sink
        # What was published before the end is part of the stream.
        self._delivery.give_rest(subscriber)
        self.leave(subscriber)
        if sink is not None:
            sink.close()

    def on_resumed(self, subscriber: Subscriber) -> None:
        """
        Give a client that was paused what it missed.

        Args:
            subscriber: Whose sink is ready again.
        """
        subscriber.on_drained()
        self._delivery.give_rest(subscriber)

    def statistics(self) -> HubStatistics:
        """Give what the hub holds and has done."""
        return HubStatistics(
            subscribers=len(self._subscribers),
            channels=len(self._listening) - 1,  # without the one for commands
            feeds=len(self._delivery),
            published=self._published,
            entries=self._entries,
            gaps=self._gaps,
            lagging_disconnected=self._delivery.lagging_disconnected,
            refused=self._caps.refused,
            broker_available=self._availability.available,
        )

    # What happens in channels.

    def on_item(self, channel: str, item: LogItem) -> None:
        """
        Carry a new entry to the streams of its channel.

        Args:
            channel: Its name.
            item: The entry, encoded.
        """
        if channel == _CONTROL:
            self._obey(item.entry.event)
            return
        self._entries += 1
        self._delivery.append(channel, item)

    def on_gap(self, channel: str, reason: GapReason, go_on: Position) -> None:
        """
        Tell the streams of a channel that entries are missing.

        Args:
            channel: Its name.
            reason: Why.
            go_on: Just before the next entry.
        """
        if channel == _CONTROL:
            self._begin_all_anew()
            return
        _log.warning(
            "channel %r: events before %s-%d are missing (%s)",
            channel,
            go_on.epoch,
            go_on.offset + 1,
            reason,
        )
        self._gaps += self._delivery.announce_gap(channel, reason, go_on)

    def on_renamed(self, channel: str, position: Position) -> None:
        """
        Tell the streams of a channel what its head is called now.

        Args:
            channel: Its name.
            position: The head.
        """
        self._delivery.rename(channel, position)

    def on_passing(self, channel: str, event: Event) -> None:
        """
        Carry an event that has no place in its channel to those who are here.

        Args:
            channel: Its name.
            event: Any event. Its id is not sent: clients could not resume by it.
        """
        block = encode_body(event)
        if len(block) > self.config.max_event_bytes:
            _log.warning("channel %r: skipped an event of %d bytes", channel, len(block))
            return
        self._entries += 1
        self._delivery.pass_by(channel, block)

    async def _hear_commands(self, since: float) -> None:
        """Obey the commands given before this hub was opened, once storage is there."""
        head = (await self._listening.log(_CONTROL)).head
        after = Position(head.epoch, max(0, head.offset - _COMMANDS_AT_MOST))
        at_most = min(_COMMANDS_AT_MOST, self.config.history_events)
        count, is_complete = 0, False
        while True:
            history = await self._availability.retry(
                "read", partial(self._broker.read, _CONTROL, after, _COMMANDS_AT_ONCE)
            )
            for entry in history.entries:
                if entry.published_at >= since:
                    self._obey(entry.event)
                else:
                    is_complete = True
            if not history.entries:
                break
            count += len(history.entries)
            after = history.entries[-1].position
        # What is no longer there because of its age does not matter; what had to go because
        # there were too many does.
        if count >= at_most and not is_complete:
            self._begin_all_anew()

    def _begin_all_anew(self) -> None:
        _log.warning("commands of other processes are missing: all streams begin anew")
        self._disconnects.forget()
        for subscriber in tuple(self._subscribers):
            self.end(subscriber)

    def _obey(self, command: Event) -> None:
        if command.type != _DISCONNECT:
            _log.warning("unknown command %r from another process", command.type)
            return
        self._disconnects.note(command.data)
        for subscriber in tuple(self._subscribers):
            if command.data in subscriber.channels:
                self.end(subscriber)

    # Heartbeats.

    async def _beat_for_ever(self, heartbeat_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        tick = min(heartbeat_seconds / _TICKS_PER_HEARTBEAT, _TICK_SECONDS_AT_MOST)
        while True:
            await asyncio.sleep(tick)
            # One tick early is in time; one tick late is not.
            self._beat(loop.time(), heartbeat_seconds - tick)

    async def _bound_lag_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_LAG_LOOK_SECONDS)
            try:
                self._delivery.bound_lag(self._subscribers)
            except Exception:  # noqa: BLE001 - logged; the reason follows
                # The boundary of a task: without this nothing would be bounded any more.
                _log.exception("cannot look at what is held for clients, trying again")

    def _beat(self, now: float, silence_seconds: float) -> None:
        self._delivery.beat(now, silence_seconds)
        for subscriber in self._subscribers:
            sink = subscriber.sink
            if subscriber.joining is None or sink is None or sink.paused:
                continue
            if now - subscriber.quiet_since >= silence_seconds:
                sink.write(HEARTBEAT)
                subscriber.quiet_since = now

    def _greeting(self) -> bytes:
        spread = random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, guards nothing
        return b":\nretry: %d\n\n" % int(self.config.retry_ms * spread)

    # Clients in and out.

    def _end_of_stream(self, expires_at: float | None) -> float | None:
        seconds = self.config.max_stream_seconds
        if seconds is None:
            return expires_at
        # Spread, so that those who have come together do not all come back together.
        ends_at = time.time() + seconds * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return ends_at if expires_at is None else min(ends_at, expires_at)

    async def _open_connection(
        self,
        subscriber: Subscriber,
        sink: SocketSink,
        connection: socket.socket,
        head: bytes,
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            await self.place(subscriber)
        except asyncio.CancelledError:
            # The hub has been closed. A browser comes back after a head, and not without.
            del self.connections[sink]
            with connection, contextlib.suppress(OSError):
                connection.send(head)
            raise
        try:
            await loop.connect_accepted_socket(lambda: sink, connection)
        except Exception:
            if self.connections.pop(sink, None) is not None:
                connection.close()
                self.leave(subscriber)
            raise

    async def _bring_in(self, subscriber: Subscriber, sink: Sink) -> None:
        catch_up = CatchUp(
            subscriber, sink, self._listening, self._broker, self._availability
        )
        try:
            await catch_up.advance()
            catch_up.finish()
        except Exception:  # noqa: BLE001 - logged; the reason follows
            # The boundary of a task: without this the client would wait for ever.
            _log.exception("cannot serve a stream of %s", subscriber.channels)
            subscriber.joining = None
            self.end(subscriber)
        else:
            self._join(subscriber)
        finally:
            self._gaps += catch_up.gaps

    def _join(self, subscriber: Subscriber) -> None:
        heads = self._listening.heads(subscriber.channels)
        assert heads is not None  # noqa: S101 - all are known by now
        subscriber.joining = None
        self._delivery.join(subscriber, heads)

    def _start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(coroutine, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a task of the hub has failed", exc_info=task.exception())


async def open_hub(
    url: str,
    config: HubConfig,
    *,
    plain_channels: PlainChannels | None = None,
    previous_closed_at: int = 0,
) -> Hub:
    """
    Open a hub on the running loop.

    Args:
        url: Where the channels live. See :func:`heliograph.brokers.open_broker`.
        config: Limits and timings.
        plain_channels: See :func:`heliograph.brokers.open_broker`.
        previous_closed_at: See :class:`Hub`.

    Returns:
        The hub, to be closed.

    Raises:
        ConfigError: The URL is wrong, or storage refuses what it was configured with.
    """
    retention = Retention(events=config.history_events, seconds=config.history_seconds)
    broker = open_broker(url, retention, plain_channels=plain_channels)
    hub = Hub(broker, config, previous_closed_at=previous_closed_at)
    await hub.open()
    return hub


def _check_own_id(channel: str, event: Event) -> None:
    if event.id is None:
        return
    if len(event.id.encode()) > _MAX_ID_BYTES:
        raise InvalidFieldError(
            "id", event.id, f"must be at most {_MAX_ID_BYTES} bytes: clients send it back"
        )
    try:
        Positions.parse(event.id, (channel,))
    except InvalidStreamIdError:
        return
    raise InvalidFieldError(
        "id",
        event.id,
        f"reads as a position in channel {channel!r}: resuming by it would go there"
        " instead of here",
    )
