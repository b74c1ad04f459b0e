"""One Redis server, or what Sentinels say is one, with its three connections."""

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

from .line import Line
from .pipe import Pipe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .address import Address
    from .line import LineEvents

__all__ = [
    "Node",
    "direct_client",
    "new_sentinel",
    "sentinel_client",
    "socket_client",
]

# How long Redis may take to connect or to answer.
_TIMEOUT_SECONDS = 5.0


class Node:
    """
    A server, and the connections of this process to it.

    Args:
        new_client: Makes a client with a pool of its own.
        address: Where the server belongs.
        alive: A channel of Redis that nobody publishes on.
        events: Told what happens on its line.
        is_current: Whether a host and port are still those of the right server.

    Attributes:
        appends: For what writes.
        reads: For what reads.
        line: Listens.
    """

    def __init__(
        self,
        new_client: Callable[[], Redis],
        address: Address,
        alive: str,
        events: LineEvents,
        is_current: Callable[[str, int], Awaitable[bool]],
    ) -> None:
        timeout = address.options.get("socket_timeout", _TIMEOUT_SECONDS)
        self.appends = Pipe(
            new_client(), replicas=address.replicas, timeout_seconds=timeout
        )
        self.reads = Pipe(new_client())
        self.line = Line(
            new_client(),
            alive,
            events,
            sharded=address.kind == "cluster",
            is_current=is_current,
        )

    async def close(self) -> None:
        """Finish the calls that have begun, and disconnect."""
        await asyncio.gather(self.line.close(), self.reads.close(), self.appends.close())


def _connection_options(address: Address) -> dict[str, Any]:
    """
    Give what every connection is made with.

    Args:
        address: Where to.
    """
    return {
        "socket_timeout": _TIMEOUT_SECONDS,
        "socket_connect_timeout": _TIMEOUT_SECONDS,
        # The second works with every server; the third has nothing that is needed here.
        "protocol": 2,
        # The driver would repeat an append that may have been done, and would connect a
        # line anew behind our back.
        "retry": Retry(NoBackoff(), 0),
        **address.options,
    }


def direct_client(address: Address, host: str, port: int) -> Redis:
    """
    Make a client of one server, with one connection.

    Args:
        address: How to connect.
        host: Of the server.
        port: Of the server.
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
        sentinel: Asked with each new connection.
    """
    # This pool does not wait for a connection; a line and a pipe need one at a time.
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        address.service, sentinel, ssl=address.tls, **_connection_options(address)
    )
    return Redis.from_pool(pool)


def new_sentinel(address: Address) -> Sentinel:
    """
    Make what asks the Sentinels.

    Args:
        address: Where they are.
    """
    options = {
        name: value
        for name, value in _connection_options(address).items()
        if name.startswith(("socket_", "ssl_", "protocol"))
    }
    return Sentinel(  # type: ignore[no-untyped-call]
        list(address.hosts),
        sentinel_kwargs={
            "ssl": address.tls,
            "retry": Retry(NoBackoff(), 0),
            **options,
            **address.sentinel_options,
        },
    )


def _client(**options: Any) -> Redis:
    # Waits as long as it takes: whoever has the connection gives it back in time.
    pool = BlockingConnectionPool(max_connections=1, timeout=None, **options)
    return Redis.from_pool(pool)
