"""
One connection in subscriber mode.

The driver's own class for this reconnects by itself, in whatever task happens to use it;
then messages are missing that nobody has been told of, and two tasks read one connection.
This one ends when its connection does.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError

from ...logs import Logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis.asyncio.connection import AbstractConnection

__all__ = ["Message", "Subscription", "connection_errors"]

_log = Logger("heliograph.brokers.redis")


@contextmanager
def connection_errors() -> Iterator[None]:
    """
    Raise uvloop's error about a closed connection as an error of the connection.

    asyncio ignores writes to such a connection, so the driver expects no error there.

    Raises:
        RedisConnectionError: The connection is over.
    """
    try:
        yield
    except RuntimeError as error:
        if "handler is closed" not in str(error):
            raise
        raise RedisConnectionError("the connection was closed") from error


class Message(NamedTuple):
    """
    What Redis sends to a subscriber.

    Args:
        kind: ``message``, ``subscribe``, ``pong`` and the like; with an ``s`` before it if
            the pub/sub channel belongs to a shard of a cluster.
        name: The pub/sub channel; ``""`` for a ``pong``.
        data: What was published; empty for the other kinds.
    """

    kind: str
    name: str
    data: bytes


class Subscription:
    """
    A connection on which commands are sent and messages are received.

    Args:
        connection: Used by nobody else.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    @property
    def endpoint(self) -> tuple[str, int]:
        """The host and port of the server; of a Unix socket ``("", 0)``."""
        connection = self._connection
        return getattr(connection, "host", ""), getattr(connection, "port", 0)

    async def connect(self) -> None:
        """
        Connect, once.

        Raises:
            RedisError: Redis refuses it.
            OSError: Redis cannot be reached.
        """
        with connection_errors():
            await self._connection.connect()  # type: ignore[no-untyped-call]

    async def send(self, *command: str) -> None:
        """
        Send a command, whose answer arrives among the messages.

        Args:
            command: Its words.

        Raises:
            RedisError: The connection is over.
        """
        if not self._connection.is_connected:
            raise RedisConnectionError("the connection was closed")
        with connection_errors():
            await self._connection.send_command(*command, check_health=False)

    async def receive(self) -> Message:
        """
        Wait for the next message, or answer to a command, however long that takes.

        A time limit here would be a timer for each message, which takes as long as reading
        one does.

        Raises:
            RedisError: The connection is over, or a command was refused.
            OSError: The connection is over.
        """
        if not self._connection.is_connected:
            raise RedisConnectionError("the connection was closed")
        parts = await self._connection.read_response(
            timeout=math.inf, disconnect_on_error=False
        )
        if parts is None:
            # So the driver says ETIMEDOUT, although no time was set.
            raise RedisConnectionError("the connection has timed out")
        kind, name, *rest = parts
        data = rest[0] if rest and isinstance(rest[0], bytes) else b""
        return Message(kind.decode(), name.decode(errors="replace"), data)

    async def close(self) -> None:
        """Disconnect; whoever waits for a message gets an error."""
        try:
            await self._connection.disconnect(nowait=True)
        except Exception:  # noqa: BLE001 - the connection is given up, and a line goes on
            _log.debug("cannot disconnect from Redis", exc_info=True)
