"""A topology of one server: a named one, or the primary that Sentinels name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from ...errors import ConfigError
from .address import ALL
from .node import (
    Node,
    direct_client,
    new_sentinel,
    sentinel_client,
    sentinel_clients,
    socket_client,
)
from .replicas import NotPrimaryError
from .sentinels import Sentinels, majority
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

__all__ = ["Single"]


class Single(Topology):
    """
    One server, or the primary that Sentinels name.

    Args:
        address: The server or the Sentinels.
        alive: A pub/sub channel on which nobody publishes.
        events: Told what happens on the server's line.
        timings: How long the line waits.
    """

    def __init__(
        self, address: Address, alive: str, events: LineEvents, timings: Timings
    ) -> None:
        self._sentinel = new_sentinel(address) if address.kind == "sentinel" else None
        # Asked with each append, and kept from those that are asked for the primary.
        self._sentinels: Sentinels | None = None
        if address.kind == "sentinel":
            self._sentinels = Sentinels(address.service, sentinel_clients(address))
        self._confirming: Shared[bool] = Shared()
        self._address = address
        self._node = Node(
            self._new_client,
            address=address,
            alive=alive,
            events=events,
            is_current=self._is_current,
            count_promotable=self._count_promotable,
            timings=timings,
        )

    @property
    def nodes(self) -> Sequence[Node]:
        """The one server."""
        return (self._node,)

    async def check(self) -> None:
        """Check whether the Sentinels watch the service."""
        failures: list[Exception] = []
        for sentinel in () if self._sentinel is None else self._sentinel.sentinels:
            try:
                with connection_errors():
                    # A cast: the driver says that it is a list.
                    services = cast(
                        "dict[str, dict[str, Any]]", await sentinel.sentinel_masters()
                    )
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
            self._check_hosts(services[self._address.service])
            return
        # A refusal says more than a Sentinel that cannot be reached.
        failures.sort(key=lambda error: isinstance(error, AuthenticationError))
        if failures:
            raise failures[-1]

    async def node(self, key: str) -> Node:  # noqa: ARG002 - as others need it
        """Return the one server."""
        return self._node

    async def call(self, request: Request) -> Reply:
        """Call a script."""
        return await self._node.pipe_for(request.script).call(request)

    async def confirm(self, key: str) -> bool:  # noqa: ARG002 - as others need it
        """Ask the Sentinels; once for all who want to know it at the same time."""
        return await self._confirming.run(None, self._confirm)

    async def refresh(self) -> None:
        """Do nothing: the Sentinels are asked with each new connection."""

    async def drop_unused(self) -> Sequence[Line]:
        """Keep the one server."""
        return ()

    async def close(self) -> None:
        """Disconnect."""
        await self._confirming.close()
        await self._node.close()
        if self._sentinel is not None:
            await self._sentinel.aclose()
        if self._sentinels is not None:
            await self._sentinels.close()

    async def _confirm(self) -> bool:
        if self._sentinels is None:
            return True
        primary = self._node.primary
        if primary is not None and await self._sentinels.is_primary(*primary):
            return True
        self._node.leave()
        return False

    async def _is_current(self, host: str, port: int) -> bool:
        if self._sentinel is None:
            return True
        try:
            with connection_errors():
                found = await self._sentinel.discover_master(self._address.service)
        except (RedisError, OSError):
            return True  # no Sentinel names another
        return (host, port) == (found[0], int(found[1]))

    async def _count_promotable(self, client: Redis) -> int:
        pool = client.connection_pool
        if self._sentinels is None or not isinstance(pool, SentinelConnectionPool):
            raise TypeError(f"nobody knows the replicas of {self._address.shown}")
        if pool.master_address is None:
            raise NotPrimaryError("no Sentinel has named a primary")
        host, port = pool.master_address
        return await self._sentinels.count_promotable(host, int(port))

    def _check_hosts(self, service: dict[str, Any]) -> None:
        known = 1 + int(service["num-other-sentinels"])
        needed, named = majority(known), len(self._address.hosts)
        if self._address.replicas == ALL and named < needed:
            problem = f"name at least {needed} of the {known} Sentinels, not {named}"
            raise ConfigError([f"{self._address.shown}: replicas=all: {problem}"])

    def _new_client(self) -> Redis:
        if self._sentinel is not None:
            return sentinel_client(self._address, self._sentinel)
        if self._address.path is not None:
            return socket_client(self._address)
        ((host, port),) = self._address.hosts
        return direct_client(self._address, host, port)
