"""
What Heliograph asks of a server: one protocol for ASGI servers and one for WSGI servers.

A module for each server implements them. It alone knows the private objects of that
server. It checks their shape before it uses them, and where they differ from what the
tests have seen, it leaves the connection to the server.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import socket
    from contextlib import AbstractContextManager
    from wsgiref.types import StartResponse

    from ..config import HubConfig
    from ..hub import Adapter
    from ..hub.connections import Connections
    from ..hub.sinks import ConnectionSink, DescriptorSink
    from ..wire.framing import Framing
    from .asgi_types import Message
    from .swap import Dummy

__all__ = ["AsgiConnection", "IsStopping", "RequestLimit", "Takeover", "WsgiConnection"]

IsStopping: TypeAlias = Callable[[], bool]
"""
Return whether a server was told to stop. Can be called in any thread.

Those of one server are equal, so that it is asked once for all its streams.
"""


@dataclass(frozen=True, slots=True)
class RequestLimit:
    """
    How many requests a process of a server has before it is replaced.

    Args:
        requests: The number, at least 1.
        option: The option that sets it.
        is_reached: Whether the process has had as many.
    """

    requests: int
    option: str
    is_reached: bool


class AsgiConnection(Protocol):
    """A client's connection, as far as its ASGI server lets it be seen."""

    @property
    def is_stopping(self) -> IsStopping | None:
        """
        What tells whether the server was told to stop.

        :obj:`None` if that is not known, or if :meth:`told_of_stop` will tell.
        """
        ...

    def told_of_stop(self, on_stop: Callable[[], None]) -> AbstractContextManager[None]:
        """
        Call a function when the server stops, for as long as the block lasts.

        Args:
            on_stop: Called at most once, on the server's loop. Never, if the server does
                not tell its connections that it stops.
        """
        ...

    def tune(self, config: HubConfig) -> None:
        """
        Make the connection prompt, bounded, and aware of a peer that has died.

        Args:
            config: See :func:`~heliograph.hub.sinks.tune_socket`.
        """
        ...

    async def drained(self) -> None:
        """Wait until the client has taken most of what it was sent, or has left."""
        ...

    def has_lost_client(self) -> bool:
        """Return whether the client has left, where ``receive`` may not say so."""
        ...

    def release(self) -> None:
        """Leave the response to the server, so that it can be ended in the usual way."""
        ...

    async def abort(self) -> None:
        """
        End the connection at once.

        A server closes it when the application returns, but not before the client has
        taken what was written.
        """
        ...

    async def take_over(
        self, connections: Connections, head: Message, first: bytes
    ) -> ConnectionSink | DescriptorSink | None:
        """
        Begin a response, and take its connection from the server.

        Sends the head and the first bytes through ``send`` in any case. What of them
        reaches the connection shows whether a middleware changes the body, and how it is
        delimited.

        Args:
            connections: The hub's.
            head: The message with the head of the response.
            first: The first bytes of the stream, whole blocks.

        Returns:
            The sink of the stream, to be attached; it reports what happens until then when
            it is attached. The request has ended for the server. :obj:`None` if the stream
            continues through ``send``.
        """
        ...


class Takeover(Protocol):
    """A response that is written to nobody, to see whether its client can be taken over."""

    def written_head(self, comment: bytes, framing: Framing) -> bytes | None:
        """
        Return the head that the server has written. See :meth:`.swap.Dummy.written_head`.

        Args:
            comment: What the server was given for the beginning of the body.
            framing: How the blocks of the stream are going to be delimited.
        """
        ...

    def connection(self) -> socket.socket | None:
        """
        Take the client's connection, which belongs to the caller from now on.

        Returns:
            :obj:`None` if the server is closing it.

        Raises:
            OSError: The process has no descriptors left. The server keeps its connection.
        """
        ...

    def give_back(self) -> None:
        """Leave the connection to the server, with all that the server has written."""
        ...

    def close(self) -> None:
        """End what the server has written to, when its response has ended."""
        ...


class WsgiConnection(Protocol):
    """A client's connection, as far as its WSGI server lets it be seen."""

    @property
    def descriptor(self) -> int | None:
        """
        The descriptor of the connection. It stays the server's.

        :obj:`None` if the server hides it, or if the client shares the connection between
        several requests.
        """
        ...

    @property
    def framing(self) -> Framing:
        """How the blocks of a stream are delimited once the connection is taken over."""
        ...

    @property
    def adapter(self) -> Adapter | None:
        """What can reach the connection if there is no descriptor."""
        ...

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS ends in the server, as far as that can be seen."""
        ...

    @property
    def is_stopping(self) -> IsStopping | None:
        """What tells whether the server was told to stop; :obj:`None` if nothing does."""
        ...

    def has_left(self) -> bool:
        """
        Return whether the client has closed its connection, as far as that can be seen.

        An overloaded server gets to many requests whose clients have gone already.
        """
        ...

    def has_pending_output(self) -> bool:
        """
        Return whether the server still holds unsent bytes of an earlier response.

        Then the client has sent its request before it has read the response to another one
        (RFC 9112 section 9.3.2). The stream must not overtake that response, and to wait
        for a client that may never read would hold a thread. No browser pipelines, and
        neither do the proxies that we know.
        """
        ...

    @property
    def may_be_taken(self) -> bool:
        """
        Whether :meth:`take_over` may succeed.

        False for HEAD, an unknown server, TLS that ends in the server, and a
        process that ends with the response.
        """
        ...

    def take_over(self) -> tuple[socket.socket, Dummy] | None:
        """
        Take the connection of a request from its server, before a response has begun.

        Returns:
            The client's connection, which belongs to the caller from now on, and what the
            server writes to instead. :obj:`None` if this connection must not be taken, or
            if the server is closing it.

        Raises:
            OSError: The process has no descriptors left. The server keeps its connection.
        """
        ...

    def begin_takeover(self, start_response: StartResponse) -> Takeover | None:
        """
        Keep what the server writes from the client, in the way that costs least.

        Args:
            start_response: From the server, unless middleware has replaced it. The response
                has not begun.

        Returns:
            :obj:`None`, or an error, as from :meth:`take_over`.
        """
        ...

    def give_back(self, connection: socket.socket, dummy: Dummy) -> None:
        """
        Return a connection to its server, with all that the server has written meanwhile.

        Args:
            connection: From :meth:`take_over`. Not the caller's any more.
            dummy: Likewise.
        """
        ...
