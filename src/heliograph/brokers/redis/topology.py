"""
Which server a channel is on: what one server and a cluster have in common.

The driver's own client for clusters is not used: on an error of one node it closes its
connections to all of them, in the middle of what others do, and it does not say which of
the calls that it sent together were done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .line import Line
    from .node import Node
    from .scripts import Reply, Request

__all__ = ["Topology"]


class Topology(Protocol):
    """The servers, and how to find the one that has a key."""

    @property
    def nodes(self) -> Sequence[Node]:
        """The servers that this process has been connected to."""
        ...

    async def check(self) -> None:
        """
        Check the configuration by which servers are found.

        Raises:
            ConfigError: It is wrong.
            RedisError: No server could be asked.
            OSError: The same.
        """
        ...

    async def node(self, key: str) -> Node:
        """
        Return the server that has a key.

        Args:
            key: Any name.

        Raises:
            RedisError: The server is not known.
            OSError: The server is not known.
        """
        ...

    async def call(self, request: Request) -> Reply:
        """
        Call a script on the server that has its keys.

        Args:
            request: The script, its keys (with one hash tag) and its arguments.

        Returns:
            The script's reply.

        Raises:
            RedisError: Redis has refused the call, or may or may not have done it.
            OSError: The same.
        """
        ...

    async def confirm(self, key: str) -> bool:
        """
        Return whether reads of a key go to the server that is to be asked now.

        If they do not, those that follow go to another one, if it is known.

        Args:
            key: Any name.

        Raises:
            RedisError: It cannot be known, because too few servers could be asked.
            OSError: The same.
        """
        ...

    async def refresh(self) -> None:
        """
        Look up the servers again, after one could not be reached.

        Raises:
            RedisError: No server could be asked.
            OSError: The same.
        """
        ...

    async def drop_unused(self) -> Sequence[Line]:
        """
        Disconnect from servers that no longer have any channel.

        Returns:
            The lines to them.
        """
        ...

    async def close(self) -> None:
        """Disconnect from all servers."""
        ...
