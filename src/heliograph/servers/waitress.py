"""
Taking a client's connection over from waitress.

waitress keeps what a client has not taken of earlier responses, and sends it from several
threads. After a swap that output would go into the dummy, which nobody reads. So a stream
that a client has pipelined behind unsent output is refused, and the swap is done under the
lock without which waitress closes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .wsgi_connection import SocketConnection, plain_sockets

if TYPE_CHECKING:
    import socket
    from wsgiref.types import WSGIEnvironment

    from .interface import IsStopping
    from .swap import Dummy

__all__ = ["WaitressConnection", "connection_of"]

# Private parts of a channel, whose presence is checked before they are used.
_PARTS = ("connected", "outbuf_lock", "total_outbufs_len")
_LOOKAHEAD = "channel_request_lookahead"


class WaitressConnection(SocketConnection):
    """
    A connection that several threads of waitress write to.

    Args:
        environ: The request, as waitress made it.
        channel: What waitress calls the channel of the connection.
        connection: The channel's socket.
        is_stopping: What tells whether the server was told to stop.
    """

    def __init__(
        self,
        environ: WSGIEnvironment,
        channel: Any,
        connection: socket.socket | None,
        is_stopping: IsStopping | None = None,
    ) -> None:
        # Told to read ahead, waitress polls the connection while its request is answered.
        # It would find the end of the dummy and give the request up.
        reads_ahead = getattr(getattr(channel, "adj", None), _LOOKAHEAD, True)
        is_as_known = all(hasattr(channel, name) for name in _PARTS)
        super().__init__(
            environ,
            connection,
            may_be_taken=is_as_known and not reads_ahead,
            is_stopping=is_stopping,
        )
        self._channel = channel

    def has_pending_output(self) -> bool:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        return bool(getattr(self._channel, "total_outbufs_len", 0))

    def take_over(self) -> tuple[socket.socket, Dummy] | None:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        if not self._may_be_taken:
            return None
        with self._channel.outbuf_lock:
            # waitress marks a channel under this lock before it closes it.
            is_idle = self._channel.connected and not self._channel.total_outbufs_len
            return super().take_over() if is_idle else None

    def give_back(self, connection: socket.socket, dummy: Dummy) -> None:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        # No thread of waitress writes meanwhile.
        with self._channel.outbuf_lock:
            super().give_back(connection, dummy)


def connection_of(
    environ: WSGIEnvironment, is_stopping: IsStopping | None
) -> WaitressConnection | None:
    """
    Return the connection of a request to waitress.

    Args:
        environ: The request, as the server made it. waitress puts a method of the channel
            into it.
        is_stopping: What tells whether the process was told to stop.

    Returns:
        :obj:`None` if the server is not waitress.
    """
    channel = getattr(environ.get("waitress.client_disconnected"), "__self__", None)
    if type(channel).__module__ != "waitress.channel":
        return None
    connection = getattr(channel, "socket", None)
    if not isinstance(connection, plain_sockets()):
        connection = None
    return WaitressConnection(environ, channel, connection, is_stopping)
