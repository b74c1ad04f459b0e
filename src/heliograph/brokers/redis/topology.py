"""
Which server a channel is on.

The driver's own client for clusters is not used: it answers to an error of one node by
closing its connections to all of them, in the middle of what others do, and it does not
say which of the calls that it sent together were done.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Literal, Protocol

from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    MovedError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from ...errors import ConfigError
from .line import cancel
from .node import Node, direct_client, new_sentinel, sentinel_client, socket_client
from .subscription import connection_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from .address import Address
    from .line import Line, LineEvents
    from .scripts import Script

__all__ = ["Cluster", "Single", "Topology", "new_topology"]

Purpose = Literal["append", "read"]

# How often a call follows a cluster that is being rearranged.
_REDIRECTIONS = 8
_TRY_AGAIN_SECONDS = 0.1


class Topology(Protocol):
    """Servers, and how to find the one of a key."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The servers known now."""
        ...

    async def check(self) -> None:
        """
        Say what is wrong with how servers are found.

        Raises:
            ConfigError: It is, and will be.
            RedisError: Nobody could be asked.
            OSError: The same.
        """
        ...

    async def node(self, key: str) -> Node:
        """
        Give the server of a key.

        Args:
            key: Any name.

        Raises:
            RedisError: It is not known.
            OSError: It is not known.
        """
        ...

    async def call(
        self,
        purpose: Purpose,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[str | float],
    ) -> Any:
        """
        Call a script where its keys are.

        Args:
            purpose: Whether it appends.
            script: One of ours.
            keys: With one hash tag.
            arguments: That it takes.

        Returns:
            What it returns.

        Raises:
            RedisError: Redis has refused it, or may or may not have done it.
            OSError: The same.
        """
        ...

    async def refresh(self) -> None:
        """
        Find out anew, after a server could not be reached.

        Raises:
            RedisError: Nobody could be asked.
            OSError: The same.
        """
        ...

    async def drop_unused(self) -> Sequence[Line]:
        """
        Disconnect from servers that have nothing more to say.

        Returns:
            Their lines.
        """
        ...

    async def close(self) -> None:
        """Disconnect from all."""
        ...


class Single(Topology):
    """
    One server, or the primary that Sentinels name.

    Args:
        address: Where it is.
        alive: A channel of Redis that nobody publishes on.
        events: Told what happens on its line.
    """

    def __init__(self, address: Address, alive: str, events: LineEvents) -> None:
        self._sentinel = new_sentinel(address) if address.kind == "sentinel" else None
        self._address = address
        self._node = Node(self._new_client, address, alive, events, self._is_current)

    @property
    def nodes(self) -> Sequence[Node]:
        """The one server."""
        return (self._node,)

    async def check(self) -> None:
        """Say what is wrong with what the Sentinels watch."""
        failures: list[Exception] = []
        for sentinel in () if self._sentinel is None else self._sentinel.sentinels:
            try:
                with connection_errors():
                    services = await sentinel.sentinel_masters()
            except ResponseError as error:
                if "unknown command" in str(error):
                    raise ConfigError(
                        [f"{self._address.shown}: is no Sentinel: {error}"]
                    ) from error
                raise
            except (RedisError, OSError) as error:
                failures.append(error)
                continue
            if self._address.service not in services:
                names = ", ".join(sorted(map(str, services))) or "none"
                raise ConfigError(
                    [f"{self._address.shown}: the Sentinels know other services: {names}"]
                )
            return
        # One that refuses says more than one that is not there.
        failures.sort(key=lambda error: isinstance(error, AuthenticationError))
        if failures:
            raise failures[-1]

    async def node(self, key: str) -> Node:  # noqa: ARG002 - as others need it
        """Give the one server."""
        return self._node

    async def call(
        self,
        purpose: Purpose,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[str | float],
    ) -> Any:
        """Call a script."""
        pipe = self._node.appends if purpose == "append" else self._node.reads
        return await pipe.call(script, keys, arguments)

    async def refresh(self) -> None:
        """Sentinels are asked with each new connection."""

    async def drop_unused(self) -> Sequence[Line]:
        """Keep the one server."""
        return ()

    async def close(self) -> None:
        """Disconnect."""
        await self._node.close()
        if self._sentinel is not None:
            await self._sentinel.aclose()

    async def _is_current(self, host: str, port: int) -> bool:
        if self._sentinel is None:
            return True
        try:
            with connection_errors():
                found = await self._sentinel.discover_master(self._address.service)
        except (RedisError, OSError):
            return True  # nobody says otherwise
        return (host, port) == (found[0], int(found[1]))

    def _new_client(self) -> Redis:
        if self._sentinel is not None:
            return sentinel_client(self._address, self._sentinel)
        if self._address.path is not None:
            return socket_client(self._address)
        ((host, port),) = self._address.hosts
        return direct_client(self._address, host, port)


class Cluster(Topology):
    """
    The primaries of a cluster, each with a range of slots.

    Args:
        address: Nodes to begin with.
        alive: A channel of Redis that nobody publishes on.
        events: Told what happens on the nodes' lines.
    """

    def __init__(self, address: Address, alive: str, events: LineEvents) -> None:
        self._address = address
        self._alive = alive
        self._events = events
        self._nodes: dict[tuple[str, int], Node] = {}
        # Slot -> its primary.
        self._owners: dict[int, tuple[str, int]] = {}
        # The same as the nodes have said it last: owners are forgotten after an error.
        self._known: dict[int, tuple[str, int]] = {}
        self._seeds = list(address.hosts)
        self._refreshing: asyncio.Task[None] | None = None

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes that were needed so far."""
        return tuple(self._nodes.values())

    async def check(self) -> None:
        """Leave it to the first call: nodes know each other."""

    async def node(self, key: str) -> Node:
        """Give the primary of a key's slot."""
        return self._node_at(await self._owner(key))

    async def call(
        self,
        purpose: Purpose,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[str | float],
    ) -> Any:
        """Call a script where its keys are, or have moved to."""
        place, asking = await self._owner(keys[0]), False
        for _ in range(_REDIRECTIONS):
            node = self._node_at(place)
            pipe = node.appends if purpose == "append" else node.reads
            try:
                return await pipe.call(script, keys, arguments, asking=asking)
            except AskError as error:
                # A node that does not know its own name leaves it to who has asked it.
                place, asking = (error.host or place[0], error.port), True
            except MovedError as error:
                place, asking = (error.host or place[0], error.port), False
                self._owners[error.slot_id] = place
                self._events.on_moved()
            except TryAgainError:
                await asyncio.sleep(_TRY_AGAIN_SECONDS)
            except ClusterDownError:
                self._owners.clear()
                raise
            except ResponseError:
                raise
            except (RedisError, OSError):
                # Perhaps a replica has taken its place: the next call will find out.
                self._owners.clear()
                raise
        raise RedisError("the cluster is being rearranged")

    async def refresh(self) -> None:
        """Ask the nodes which slots they have; once for all who ask at the same time."""
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh())
            self._refreshing.add_done_callback(self._on_refreshed)
        await asyncio.shield(self._refreshing)

    async def drop_unused(self) -> Sequence[Line]:
        """Disconnect from nodes that have no slots any more."""
        owners = set(self._owners.values())
        gone = [
            place
            for place, node in self._nodes.items()
            if owners and place not in owners and not node.line.names
        ]
        nodes = [self._nodes.pop(place) for place in gone]
        for node in nodes:
            await node.close()
        return [node.line for node in nodes]

    async def close(self) -> None:
        """Disconnect from all."""
        await cancel(self._refreshing)
        await asyncio.gather(*(node.close() for node in self._nodes.values()))

    def _on_refreshed(self, task: asyncio.Task[None]) -> None:
        self._refreshing = None
        # Whoever waits for it raises it; nobody may.
        if not task.cancelled():
            task.exception()

    async def _refresh(self) -> None:
        failure: Exception = RedisError("no node is known")
        seeds = list(dict.fromkeys((*self._address.hosts, *self._seeds)))
        random.shuffle(seeds)
        for host, port in seeds:
            client = direct_client(self._address, host, port)
            try:
                with connection_errors():
                    ranges = await client.execute_command(  # type: ignore[no-untyped-call]
                        "CLUSTER SLOTS"
                    )
            except (RedisError, OSError) as error:
                failure = error
                continue
            finally:
                await client.aclose()
            self._take(ranges, host)
            return
        raise failure

    def _take(self, ranges: Any, asked: str) -> None:
        owners: dict[int, tuple[str, int]] = {}
        seeds = []
        for first, last, *servers in ranges:
            # A node that does not know its own name leaves it to who has asked it.
            places = [((one[0] or b"").decode() or asked, int(one[1])) for one in servers]
            owners |= dict.fromkeys(range(int(first), int(last) + 1), places[0])
            seeds += places
        if self._known != owners:
            self._events.on_moved()
        self._known = dict(owners)
        self._owners = owners
        self._seeds = seeds

    async def _owner(self, key: str) -> tuple[str, int]:
        slot = key_slot(key.encode())
        if slot not in self._owners:
            await self.refresh()
        try:
            return self._owners[slot]
        except KeyError as error:
            raise ClusterDownError(f"no node has the slot {slot}") from error

    def _node_at(self, place: tuple[str, int]) -> Node:
        node = self._nodes.get(place)
        if node is None:
            node = self._nodes[place] = Node(
                lambda: direct_client(self._address, *place),
                self._address,
                self._alive,
                self._events,
                self._is_current,
            )
        return node

    async def _is_current(self, host: str, port: int) -> bool:
        try:
            await self.refresh()
        except (RedisError, OSError):
            return True  # nobody says otherwise
        return (host, port) in self._owners.values()


def new_topology(address: Address, alive: str, events: LineEvents) -> Topology:
    """
    Make what an address needs.

    Args:
        address: Where Redis is.
        alive: A channel of Redis that nobody publishes on.
        events: Told what happens on lines.
    """
    kind = Cluster if address.kind == "cluster" else Single
    return kind(address, alive, events)
