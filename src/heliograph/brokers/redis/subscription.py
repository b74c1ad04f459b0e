"""
One connection that has been told to listen.

The driver's own class for this connects anew by itself, in whatever task happens to use it;
then messages are missing that nobody has been told of, and two tasks read one connection.
This one is over when its connection is.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as RedisConnectionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis.asyncio.connection import AbstractConnection

__all__ = ["Subscription", "connection_errors"]


@contextmanager
def connection_errors() -> Iterator[None]:
    """
    Raise as an error of the connection what uvloop says of one that has been closed.

    asyncio writes to such a connection without a word, so the driver expects nothing.

    Raises:
        RedisError: The connection is over.
    """
    try:
        yield
    except RuntimeError as error:
        if "handler is closed" not in str(error):
            raise
        raise RedisConnectionError("the connection was closed") from error


class Subscription:
    """
    Commands out, messages in.

    Args:
        connection: Used by nobody else.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    @property
    def place(self) -> tuple[str, int]:
        """The host and port that it is connected to, if it is no Unix socket."""
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
        Send a command, whose answer comes among the messages.

        Args:
            command: Its words.

        Raises:
            RedisError: The connection is over.
        """
        if not self._connection.is_connected:
            raise RedisConnectionError("the connection was closed")
        with connection_errors():
            await self._connection.send_command(*command, check_health=False)

    async def receive(self, timeout_seconds: float) -> list[Any] | None:
        """
        Wait for the next message, or answer to a command.

        Args:
            timeout_seconds: For how long.

        Returns:
            Its parts; :obj:`None` if there was none in time.

        Raises:
            RedisError: The connection is over, or a command was refused.
            OSError: The connection is over.
        """
        if not self._connection.is_connected:
            raise RedisConnectionError("the connection was closed")
        message: list[Any] | None = await self._connection.read_response(
            timeout=timeout_seconds, disconnect_on_error=False
        )
        return message

    async def close(self) -> None:
        """End the connection; whoever waits for a message learns of it."""
        await self._connection.disconnect(nowait=True)
