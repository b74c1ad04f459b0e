"""One Redis server, or the primary that Sentinels name, with its three connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from redis.asyncio import (
    BlockingConnectionPool,
    Connection,
    Redis,
    Sentinel,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

from .address import ALL
from .line import Line
from .pipe import Pipe
from .replicas import AllReplicas, ReplicaCount
from .scripts import PROBE, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .address import Address
    from .line_events import LineEvents
    from .replicas import Replicas
    from .scripts import Script
    from .timings import Timings

__all__ = [
    "Node",
    "direct_client",
    "new_sentinel",
    "sentinel_client",
    "sentinel_clients",
    "socket_client",
]

# How long Redis may take to connect or to answer.
_TIMEOUT_SECONDS = 5.0

# How long a Sentinel may take that is asked with each append.
_SENTINEL_TIMEOUT_SECONDS = 1.0


class Node:
    """
    A server, and the connections of this process to it.

    Args:
        new_client: Makes a client with a pool of its own.
        address: The address that the server belongs to.
        alive: A pub/sub channel on which nobody publishes.
        events: Told what happens on its line.
        is_current: Returns whether the server at a host and port is still the right one.
        count_promotable: Returns how many replicas may be promoted instead of the server
            that a client is connected to (:class:`.AllReplicas`).
        timings: How long the line waits.

    Attributes:
        line: The connection that listens.
    """

    def __init__(
        self,
        new_client: Callable[[], Redis],
        *,
        address: Address,
        alive: str,
        events: LineEvents,
        is_current: Callable[[str, int], Awaitable[bool]],
        count_promotable: Callable[[Redis], Awaitable[int]],
        timings: Timings,
    ) -> None:
        self._is_server_current = is_current
        self._appends = Pipe(new_client(), replicas=_replicas(address, count_promotable))
        self._reads = Pipe(new_client())
        self.line = Line(
            new_client(),
            alive,
            events,
            sharded=address.kind == "cluster",
            is_current=self._is_current,
            ask=self._ask,
            silence_seconds=timings.silence_seconds,
        )

    def pipe_for(self, script: Script) -> Pipe:
        """
        Return the connection for calls of a script.

        Appends have one of their own: they must not wait for pages of history.

        Args:
            script: The script to be called.
        """
        writes = script.appends or script.follows or script.changes
        return self._appends if writes else self._reads

    @property
    def primary(self) -> tuple[str, int] | None:
        """The server that reads go to; :obj:`None` if no Sentinel has named it yet."""
        pool = self._reads.client.connection_pool
        if not isinstance(pool, SentinelConnectionPool) or pool.master_address is None:
            return None
        host, port = pool.master_address
        return host, int(port)

    def leave(self) -> None:
        """Reconnect for reads, and check whether the line has to, too."""
        self._reads.reconnect()
        self.line.check_server()

    async def _is_current(self, host: str, port: int) -> bool:
        is_current = await self._is_server_current(host, port)
        if not is_current:
            # What the line has missed must not be read from the former primary.
            self._reads.reconnect()
        return is_current

    async def _ask(self, key: str) -> object:
        return await self._reads.call(Request(PROBE, [key]))

    async def close(self) -> None:
        """Finish the calls that have begun, and disconnect."""
        await asyncio.gather(self.line.close(), self._reads.close(), self._appends.close())


def _replicas(
    address: Address, count_promotable: Callable[[Redis], Awaitable[int]]
) -> Replicas | None:
    # Half of it: the answer has to arrive in time.
    seconds = _connection_options(address)["socket_timeout"] / 2
    if address.replicas == ALL:
        return AllReplicas(count_promotable, seconds)
    return ReplicaCount(int(address.replicas), seconds) if address.replicas else None


def _connection_options(address: Address) -> dict[str, Any]:
    """
    Return the driver's keyword arguments for every connection.

    Args:
        address: How to connect.
    """
    return {
        "socket_timeout": _TIMEOUT_SECONDS,
        "socket_connect_timeout": _TIMEOUT_SECONDS,
        # The second works with every server; the third has nothing that is needed here.
        "protocol": 2,
        # The driver would repeat an append that may have been done, and would reconnect a
        # line without telling it.
        "retry": Retry(NoBackoff(), 0),
        # Its commands would follow each other before anything is read. A server that has
        # closed the connection by then has said why, and nobody would read it.
        "driver_info": None,
        **address.options,
    }


def direct_client(address: Address, host: str, port: int) -> Redis:
    """
    Make a client of one server, with one connection.

    Args:
        address: How to connect.
        host: The server's host.
        port: The server's port.
    """
    options = _connection_options(address)
    connection: type[Connection] = SSLConnection if address.tls else Connection
    return _client(connection_class=connection, host=host, port=port, **options)


def socket_client(address: Address) -> Redis:
    """
    Make a client of one server that is reached by a Unix socket, with one connection.

    Args:
        address: How to connect.
    """
    options = _connection_options(address)
    return _client(
        connection_class=UnixDomainSocketConnection, path=address.path, **options
    )


def sentinel_client(address: Address, sentinel: Sentinel) -> Redis:
    """
    Make a client of the primary that Sentinels name, with one connection.

    Args:
        address: How to connect.
        sentinel: Asked for the primary with each new connection.
    """
    # This pool raises instead of waiting for a free connection; a line and a pipe need only
    # one at a time.
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        address.service, sentinel, ssl=address.tls, **_connection_options(address)
    )
    return Redis.from_pool(pool)


def new_sentinel(address: Address) -> Sentinel:
    """
    Make the driver's object that asks the Sentinels.

    Args:
        address: The hosts of the Sentinels, and how to connect.
    """
    return Sentinel(  # type: ignore[no-untyped-call]
        list(address.hosts), sentinel_kwargs=_sentinel_options(address)
    )


def sentinel_clients(address: Address) -> list[Redis]:
    """
    Make a client of each Sentinel, which waits less long than for Redis.

    Args:
        address: The hosts of the Sentinels, and how to connect.
    """
    options = _sentinel_options(address)
    for name in ("socket_timeout", "socket_connect_timeout"):
        options[name] = min(options[name], _SENTINEL_TIMEOUT_SECONDS)
    return [
        Redis(host=host, port=port, decode_responses=True, **options)
        for host, port in address.hosts
    ]


def _sentinel_options(address: Address) -> dict[str, Any]:
    options = {
        name: value
        for name, value in _connection_options(address).items()
        if name.startswith(("socket_", "ssl_", "protocol", "driver_info"))
    }
    return {
        "ssl": address.tls,
        "retry": Retry(NoBackoff(), 0),
        **options,
        **address.sentinel_options,
    }


def _client(**options: Any) -> Redis:
    # Wait without a limit: whoever uses the connection returns it in time.
    pool = BlockingConnectionPool(max_connections=1, timeout=None, **options)
    return Redis.from_pool(pool)
