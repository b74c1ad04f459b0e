"""A topology of several servers: the primaries of a cluster, each with some slots."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, TypeAlias

from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from ...retry import Backoff
from .node import Node, direct_client
from .replicas import NotPrimaryError
from .subscription import connection_errors
from .tasks import Shared
from .topology import Topology

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from .address import Address
    from .line import Line
    from .line_events import LineEvents
    from .scripts import Reply, Request
    from .timings import Timings

__all__ = ["Cluster", "Endpoint", "parse_slots"]

Endpoint: TypeAlias = tuple[str, int]
"""A host and a port."""

# How often a call follows a cluster that is being rearranged.
_REDIRECTIONS = 8
_TRY_AGAIN_SECONDS = 0.1

# Of the flags of a replica: it is not elected.
_GONE = {b"fail", b"noaddr", b"handshake"}


class Cluster(Topology):
    """
    The primaries of a cluster.

    Args:
        address: Nodes to begin with.
        alive: A pub/sub channel on which nobody publishes.
        events: Told what happens on the nodes' lines, and when slots have moved.
        timings: How long the lines wait.
    """

    def __init__(
        self, address: Address, alive: str, events: LineEvents, timings: Timings
    ) -> None:
        self._address = address
        self._alive = alive
        self._events = events
        self._timings = timings
        self._nodes: dict[Endpoint, Node] = {}
        # Slot -> its primary.
        self._owners: dict[int, Endpoint] = {}
        # The same as the nodes said it last: owners are forgotten after an error.
        self._known: dict[int, Endpoint] = {}
        self._seeds: list[Endpoint] = list(address.hosts)
        self._refreshing: Shared[None] = Shared()

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes that were needed so far."""
        return tuple(self._nodes.values())

    async def check(self) -> None:
        """Check nothing: the first call finds the nodes, which know each other."""

    async def node(self, key: str) -> Node:
        """Return the primary of a key's slot."""
        return self._node_at(await self._owner(key))

    async def call(self, request: Request) -> Reply:
        """Call a script on the node that has its keys, or to which they have moved."""
        backoff = Backoff(
            first_seconds=_TRY_AGAIN_SECONDS, longest_seconds=_TRY_AGAIN_SECONDS
        )
        endpoint, asking = await self._owner(request.keys[0]), False
        for _ in range(_REDIRECTIONS):
            pipe = self._node_at(endpoint).pipe_for(request.script)
            try:
                return await pipe.call(request, asking=asking)
            except AskError as error:
                # A node that does not know its own name leaves it to the client.
                endpoint, asking = (error.host or endpoint[0], error.port), True
            except MovedError as error:
                endpoint, asking = (error.host or endpoint[0], error.port), False
                self._owners[error.slot_id] = endpoint
                self._events.on_moved()
            except TryAgainError:
                await asyncio.sleep(backoff.next_seconds())
            except ClusterDownError:
                self._owners.clear()
                raise
            except ResponseError:
                raise
            except (RedisError, OSError):
                # Perhaps a replica has taken over: the next call will find out.
                self._owners.clear()
                raise
        raise RedisError("the cluster is being rearranged")

    async def confirm(self, key: str) -> bool:
        """Ask another node: one that is cut off does not know that it was replaced."""
        endpoint = await self._owner(key)
        # The address may call the same node by another name.
        seeds = [one for one in dict.fromkeys(self._seeds) if one != endpoint]
        await self._refreshing.run(endpoint, lambda: self._refresh(seeds or [endpoint]))
        return await self._owner(key) == endpoint

    async def refresh(self) -> None:
        """Ask the nodes which slots they have; once for all who ask at the same time."""
        # Those that the address names are asked, too: all others may be replaced.
        seeds = dict.fromkeys((*self._address.hosts, *self._seeds))
        await self._refreshing.run(None, lambda: self._refresh(list(seeds)))

    async def drop_unused(self) -> Sequence[Line]:
        """Disconnect from nodes that no longer have any slots."""
        owners = set(self._owners.values())
        gone = [
            endpoint
            for endpoint, node in self._nodes.items()
            if owners and endpoint not in owners and not node.line.names
        ]
        nodes = [self._nodes.pop(endpoint) for endpoint in gone]
        for node in nodes:
            await node.close()
        return [node.line for node in nodes]

    async def close(self) -> None:
        """Disconnect from all nodes."""
        await self._refreshing.close()
        await asyncio.gather(*(node.close() for node in self._nodes.values()))

    async def _refresh(self, seeds: list[Endpoint]) -> None:
        failure: Exception = RedisError("no node is known")
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
            self._set_owners(ranges, host)
            return
        raise failure

    def _set_owners(self, ranges: Reply, asked: str) -> None:
        owners, seeds = parse_slots(ranges, asked)
        if self._known != owners:
            self._events.on_moved()
        self._known = dict(owners)
        self._owners = owners
        self._seeds = seeds

    async def _owner(self, key: str) -> Endpoint:
        slot = key_slot(key.encode())
        if slot not in self._owners:
            await self.refresh()
        try:
            return self._owners[slot]
        except KeyError as error:
            raise ClusterDownError(f"no node has the slot {slot}") from error

    def _node_at(self, endpoint: Endpoint) -> Node:
        node = self._nodes.get(endpoint)
        if node is None:
            node = self._nodes[endpoint] = Node(
                lambda: direct_client(self._address, *endpoint),
                address=self._address,
                alive=self._alive,
                events=self._events,
                is_current=self._is_current,
                count_promotable=_count_promotable,
                timings=self._timings,
            )
        return node

    async def _is_current(self, host: str, port: int) -> bool:
        try:
            await self.refresh()
        except (RedisError, OSError):
            return True  # no node names another
        return (host, port) in self._owners.values()


def parse_slots(ranges: Reply, asked: str) -> tuple[dict[int, Endpoint], list[Endpoint]]:
    """
    Return which primary has each slot, and all nodes, replicas among them.

    Args:
        ranges: The reply to ``CLUSTER SLOTS``.
        asked: The host of the node that has sent it.
    """
    owners: dict[int, Endpoint] = {}
    nodes: list[Endpoint] = []
    for first, last, *servers in ranges:
        # A node that does not know its own name leaves it to the client.
        endpoints = [((one[0] or b"").decode() or asked, int(one[1])) for one in servers]
        owners |= dict.fromkeys(range(int(first), int(last) + 1), endpoints[0])
        nodes += endpoints
    return owners, nodes


async def _count_promotable(client: Redis) -> int:
    """Return how many replicas may be elected instead of the node that a client is of."""
    name = await client.execute_command("CLUSTER", "MYID")  # type: ignore[no-untyped-call]
    try:
        lines = await client.execute_command(  # type: ignore[no-untyped-call]
            "CLUSTER", "REPLICAS", name
        )
    except ResponseError as error:
        if "not a master" not in str(error):
            raise
        raise NotPrimaryError("it is no longer a primary") from error
    # One counts until most primaries have agreed that it failed (`fail`): a node that is
    # cut off together with some of its replicas never hears that of the others.
    return sum(not _GONE & set(line.split()[2].split(b",")) for line in lines)
