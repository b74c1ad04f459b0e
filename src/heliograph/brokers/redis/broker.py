"""The broker: what a hub calls, put together from the modules of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...logs import Logger
from ..base import Broker
from ..inspection import Inspectable, Inspection
from ..once import OnceLog
from ..values import PLAIN, Attempt
from .availability import LineStates
from .channel import ListenedChannel
from .check import check
from .exchange import Exchange
from .execution import Execution
from .inspection import inspecting
from .names import Names
from .renewal import Renewal
from .routing import Routing
from .storage import Storage
from .tasks import Endings
from .timings import Timings
from .writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from ...channels.entry import Entry
    from ...channels.position import Position
    from ...event import Event
    from ..base import Listener
    from ..values import History, Retained, RetentionPolicy, Terms
    from .address import Address

__all__ = ["RedisBroker"]

_log = Logger("heliograph.brokers.redis")


class RedisBroker(Broker, Inspectable):
    """
    A broker in Redis 5 or later, or Valkey; in a cluster, Redis 7 or later.

    A publish that returned is as durable as Redis makes it: with ``appendonly yes`` it
    survives kill -9 of any process.

    Args:
        address: Where Redis is.
        retention: How much is kept of each channel.
        clock: Returns seconds since the epoch of Unix; :obj:`None` for Redis's own clock,
            which is the same for all machines.
        timings: How long to wait for what.
    """

    def __init__(
        self,
        address: Address,
        retention: RetentionPolicy,
        *,
        clock: Callable[[], float] | None = None,
        timings: Timings | None = None,
    ) -> None:
        self.resource = address.shown
        self._address = address
        self._retention = retention
        self._clock = clock
        self._timings = timings or Timings()
        self._names = Names(address.prefix, sharded=address.kind == "cluster")
        self._exchange = Exchange(address.plain_channels, self._names)
        self._once = OnceLog(_log)
        self._endings = Endings()

    async def open(self, listener: Listener) -> None:
        """
        Begin to work on the running loop.

        Raises:
            ConfigError: Redis can be reached, and refuses what it will always refuse.
        """
        self._listener = listener
        if self._address.passed_over:
            _log.info(
                "%s: options of redis-py that have no effect on Heliograph: %s",
                self.resource,
                ", ".join(self._address.passed_over),
            )
        self._routing = Routing(
            self._address,
            names=self._names,
            exchange=self._exchange,
            line_states=LineStates(self.resource, listener),
            endings=self._endings,
            timings=self._timings,
        )
        topology = self._routing.topology
        self._execution = Execution(
            self._address, topology=topology, retention=self._retention, clock=self._clock
        )
        self._storage = Storage(self._execution, names=self._names, once=self._once)
        self._writer = Writer(
            self._address,
            execution=self._execution,
            names=self._names,
            exchange=self._exchange,
            retention=self._retention,
            seen=self._storage.seen,
        )
        self._renewal = Renewal(self._routing, self._retention, self._timings)
        try:
            await check(self._address, topology, self._names)
        except BaseException:
            await topology.close()
            raise

    async def close(self) -> None:
        """Finish the appends that have begun, then release everything."""
        self._execution.close()
        await self._renewal.close()
        await self._routing.close()
        for channel in self._routing.channels:
            self._endings.add(channel.end())
        await self._endings.wait()
        await self._routing.topology.close()

    async def append(
        self,
        channel: str,
        event: Event,
        *,
        terms: Terms = PLAIN,
        repeats: Attempt | None = None,
    ) -> Entry:
        """Store an event as the next of its channel."""
        return await self._writer.append(channel, event, terms, repeats or Attempt())

    async def read(self, channel: str, after: Position | None, limit: int) -> History:
        """Return what follows a position. Damaged entries are skipped, and make a gap."""
        return (await self._storage.read(channel, after, limit)).history

    async def find(self, channel: str, event_id: str) -> Position | None:
        """Return the position of the one entry with a publisher's own id."""
        return await self._storage.find(channel, event_id)

    async def retained(self, channel: str, after: int, limit: int) -> Retained:
        """Return retained entries."""
        return await self._storage.retained(channel, after, limit)

    async def retained_as(self, channel: str, key: str) -> Entry | None:
        """Return the retained entry that has a key."""
        return await self._storage.retained_as(channel, key)

    async def forget(self, channel: str, key: str) -> None:
        """Retain an entry no longer."""
        await self._writer.forget(channel, key)

    async def begin(self, channel: str) -> Position:
        """Begin a new life of a channel, whether it has ended or not."""
        return await self._writer.begin(channel)

    async def listen(self, channel: str) -> Position:
        """Hand new entries of a channel to the listener from now on."""
        self._execution.check_open()
        listened = ListenedChannel(
            channel,
            self.resource,
            storage=self._storage,
            listener=self._listener,
            exchange=self._exchange,
            once=self._once,
            timings=self._timings,
        )
        self._routing.add(listened)
        self._renewal.add(channel)
        try:
            return await listened.begin(lambda: self._routing.route(listened))
        except BaseException:
            if self._routing.has(listened):
                self.unlisten(channel)
            else:
                self._endings.add(listened.end())
            raise

    def unlisten(self, channel: str) -> None:
        """Stop listening to a channel. Entries under way may still be handed on."""
        listened = self._routing.remove(channel)
        if listened is not None:
            self._endings.add(listened.end())

    def inspect(self) -> AbstractAsyncContextManager[Inspection]:
        """Return a context in which Redis is read with connections of its own."""
        return inspecting(self._address, self._names, self._once)
