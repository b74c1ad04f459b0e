"""A client's connection as WSGI servers have it: a socket, or a descriptor, or neither."""

from __future__ import annotations

import socket
import ssl
import sys
from typing import TYPE_CHECKING

from .. import native
from ..hub.sinks import client_has_left
from ..wire.framing import Framing
from .swap import swap

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from ..hub import Adapter
    from .interface import IsStopping, Takeover
    from .swap import Dummy

__all__ = ["SocketConnection", "plain_sockets"]

# HTTP/2 shares a connection between requests, so it cannot be taken for one of them.
_PROTOCOLS = frozenset({"HTTP/1.0", "HTTP/1.1"})

# Methods whose responses have no body, or are no responses of HTTP (RFC 9110 sections 9.3.2
# and 9.3.6). Others may be taken also if the body of their request has not been read: the
# server finds its end in the dummy, and the hub drops what still comes from the client.
_WITHOUT_BODY = frozenset({"CONNECT", "HEAD", None})


class SocketConnection:
    """
    A connection that may be looked at, and taken over unless a server forbids it.

    Args:
        environ: The request, as the server made it.
        connection: The server's object for the connection, if it can be seen.
        number: The descriptor, where there is no such object.
        may_be_taken: Whether the server goes on without its connection.
        is_http: Whether HTTP is spoken on the connection. In the protocol uwsgi the body
            is what comes until the connection ends: nginx would take chunks for a part of
            it, although ``SERVER_PROTOCOL`` says what the client of nginx speaks.
        adapter: What can reach the client where nothing else can.
        is_stopping: What tells whether the server was told to stop.
    """

    def __init__(
        self,
        environ: WSGIEnvironment,
        connection: socket.socket | None = None,
        *,
        number: int = -1,
        may_be_taken: bool = True,
        is_http: bool = True,
        adapter: Adapter | None = None,
        is_stopping: IsStopping | None = None,
    ) -> None:
        self._connection = connection
        self._number = number
        protocol = environ.get("SERVER_PROTOCOL")
        self._is_the_clients_own = protocol in _PROTOCOLS
        # RFC 9112 section 6.1: chunks only for a client that has sent HTTP/1.1.
        has_chunks = is_http and protocol == "HTTP/1.1"
        self._framing = Framing.CHUNKED if has_chunks else Framing.IDENTITY
        self._may_be_taken = (
            may_be_taken
            and environ.get("REQUEST_METHOD") not in _WITHOUT_BODY
            # Exactly a plain class: an SSLSocket has state that its descriptor lacks.
            and (connection is None or type(connection) in plain_sockets())
        )
        self._adapter = adapter
        self._is_stopping = is_stopping

    @property
    def descriptor(self) -> int | None:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        number = self._number if self._connection is None else self._connection.fileno()
        return number if self._is_the_clients_own and number >= 0 else None

    @property
    def plain_connection(self) -> socket.socket | None:
        """The server's object, if it is one of the standard library that blocks threads."""
        is_plain = type(self._connection) is socket.socket
        has_greenlets = native.gevent() or native.eventlet()
        return self._connection if is_plain and not has_greenlets else None

    @property
    def framing(self) -> Framing:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        return self._framing

    @property
    def adapter(self) -> Adapter | None:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        return self._adapter

    @property
    def is_encrypted(self) -> bool:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        return isinstance(self._connection, ssl.SSLSocket)

    @property
    def is_stopping(self) -> IsStopping | None:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        return self._is_stopping

    def has_left(self) -> bool:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        number = self.descriptor
        return number is not None and client_has_left(number)

    def has_pending_output(self) -> bool:
        """Return False: only waitress sends from other threads than the request's."""
        return False

    @property
    def may_be_taken(self) -> bool:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        return self.descriptor is not None and self._may_be_taken

    def take_over(self) -> tuple[socket.socket, Dummy] | None:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        number = self.descriptor
        if number is None or not self._may_be_taken:
            return None
        return swap(number, self._connection)

    def begin_takeover(self, start_response: StartResponse) -> Takeover | None:  # noqa: ARG002 - see gunicorn.py
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        taken = self.take_over()
        return None if taken is None else _BySwap(self, *taken)

    def give_back(self, connection: socket.socket, dummy: Dummy) -> None:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        dummy.give_back(connection)


class _BySwap:
    """A takeover for which the connection was swapped: it has changed hands already."""

    def __init__(
        self, owner: SocketConnection, connection: socket.socket, dummy: Dummy
    ) -> None:
        self._owner = owner
        self._connection = connection
        self._dummy = dummy

    def written_head(self, comment: bytes, framing: Framing) -> bytes | None:
        return self._dummy.written_head(comment, framing)

    def connection(self) -> socket.socket:
        return self._connection

    def give_back(self) -> None:
        self._owner.give_back(self._connection, self._dummy)

    def close(self) -> None:
        # What the server writes from now on fails. The stream goes on.
        self._dummy.close()


def plain_sockets() -> tuple[type[socket.socket], ...]:
    """
    Return the classes of sockets that have no state beside their descriptor.

    A program may run a server of gevent or eventlet without letting it replace
    :class:`socket.socket`.
    """
    of_others = (
        sys.modules.get(name) for name in ("gevent.socket", "eventlet.green.socket")
    )
    return (socket.socket, *(module.socket for module in of_others if module is not None))
