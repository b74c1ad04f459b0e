"""
Which channels are listened to, and on which line each one is.

In a cluster slots move from node to node, and a node may be lost. Then each channel is
subscribed to on the line of its new node before it is unsubscribed on the old one.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from redis.exceptions import ClusterDownError, RedisError

from ...logs import Logger
from .cluster import Cluster
from .line_events import LineEvents
from .single import Single
from .tasks import cancel

if TYPE_CHECKING:
    from collections.abc import Hashable

    from .address import Address
    from .availability import LineStates
    from .channel import ListenedChannel
    from .exchange import Exchange
    from .line import Line
    from .names import Names
    from .tasks import Endings
    from .timings import Timings
    from .topology import Topology

__all__ = ["Routing"]

_log = Logger("heliograph.brokers.redis")


class Routing(LineEvents):
    """
    The channels that are listened to, and the lines that their messages arrive on.

    Args:
        address: Where Redis is.
        names: Names of keys and pub/sub channels.
        exchange: Which channels are also listened to on their plain channel.
        line_states: Told which lines are up and down.
        endings: Runs what nobody waits for.
        timings: How long the lines wait.

    Attributes:
        topology: The servers.
    """

    def __init__(
        self,
        address: Address,
        *,
        names: Names,
        exchange: Exchange,
        line_states: LineStates,
        endings: Endings,
        timings: Timings,
    ) -> None:
        self._is_cluster = address.kind == "cluster"
        self._names = names
        self._exchange = exchange
        self._line_states = line_states
        self._endings = endings
        self._channels: dict[str, ListenedChannel] = {}
        self._lines: dict[ListenedChannel, Line] = {}
        # Pub/sub channel -> whose it is, and whether it is the plain one.
        self._subscribed: dict[str, tuple[ListenedChannel, bool]] = {}
        self._rerouting: asyncio.Task[None] | None = None
        self._closed = False
        topology = Cluster if self._is_cluster else Single
        self.topology: Topology = topology(address, names.alive, self, timings)

    @property
    def channels(self) -> tuple[ListenedChannel, ...]:
        """The channels that are listened to."""
        return tuple(self._channels.values())

    def add(self, channel: ListenedChannel) -> None:
        """
        Add a channel, which :meth:`route` then subscribes to.

        Args:
            channel: One whose name is not listened to.
        """
        self._channels[channel.name] = channel

    def has(self, channel: ListenedChannel) -> bool:
        """
        Return whether a channel is listened to, and not another one of its name.

        Args:
            channel: The channel.
        """
        return self._channels.get(channel.name) is channel

    def is_down(self, channel: ListenedChannel) -> bool:
        """
        Return whether the line of a channel is down.

        Args:
            channel: One that is listened to.
        """
        line = self._lines.get(channel)
        return line is not None and self._line_states.is_down(line)

    def remove(self, name: str) -> ListenedChannel | None:
        """
        Stop listening to a channel.

        Args:
            name: A channel's name.

        Returns:
            The channel; :obj:`None` if it was not listened to.
        """
        channel = self._channels.pop(name, None)
        if channel is None:
            return None
        subscribed = self._names_of(name)
        for one in subscribed:
            self._subscribed.pop(one, None)
        line = self._lines.pop(channel, None)
        if line is not None:
            self._endings.add(line.remove(tuple(subscribed)))
        return channel

    async def route(self, channel: ListenedChannel) -> None:
        """
        Subscribe to a channel on the line of the server that has it now.

        Args:
            channel: One that was added; nothing is done if it was removed meanwhile.

        Raises:
            RedisError: The server is not known.
            OSError: The same.
        """
        names = self._names_of(channel.name)
        node = await self.topology.node(self._names.keys(channel.name).row)
        if not self.has(channel):
            return
        before = self._lines.get(channel)
        if before is node.line:
            return
        for name, plain in names.items():
            self._subscribed[name] = channel, plain
        self._lines[channel] = node.line
        await node.line.add(names)
        if before is not None:
            await before.remove(tuple(names))

    async def close(self) -> None:
        """Stop looking where channels are. The connections stay."""
        self._closed = True
        await cancel(self._rerouting)

    # What happens on lines.

    def on_up(self, line: Hashable) -> None:
        """Record that a line is connected."""
        self._line_states.on_up(line)

    def on_down(self, line: Hashable, reason: str) -> None:
        """Record that a line is not connected, and look where its channels are."""
        self._line_states.on_down(line, reason)
        self.on_moved()

    def on_moved(self) -> None:
        """Look where channels are now."""
        if self._is_cluster and self._rerouting is None and not self._closed:
            self._rerouting = asyncio.create_task(self._reroute())

    def on_subscribed(self, name: str) -> None:
        """Report to a channel that its messages arrive from now on."""
        channel, plain = self._subscribed.get(name, (None, True))
        if channel is not None and not plain:
            channel.on_subscribed()

    def on_message(self, name: str, data: bytes) -> None:
        """Pass a message to its channel."""
        channel, plain = self._subscribed.get(name, (None, True))
        if channel is None:
            return
        if plain:
            channel.on_plain_message(data)
        else:
            channel.on_message(data)

    async def _reroute(self) -> None:
        try:
            await self.topology.refresh()
            for channel in self.channels:
                with contextlib.suppress(ClusterDownError):
                    # Nobody has its slot: it stays on its line, which is down, and so
                    # this is called again.
                    await self.route(channel)
            for line in await self.topology.drop_unused():
                self.on_up(line)
        except (RedisError, OSError) as error:
            # No node could be asked. A line will be down again and call this again.
            _log.debug("cannot look where channels are: %s", error)
        finally:
            self._rerouting = None

    def _names_of(self, channel: str) -> dict[str, bool]:
        """Return a channel's pub/sub channels, and for each whether it is the plain one."""
        names = {self._names.live(channel): False}
        if self._exchange.includes(channel):
            names[channel] = True
        return names
