"""eventlet's own server, ``eventlet.wsgi``: a request's body has its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .wsgi_connection import SocketConnection, plain_sockets

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from .interface import IsStopping

__all__ = ["connection_of"]


def connection_of(
    environ: WSGIEnvironment, is_stopping: IsStopping | None
) -> SocketConnection | None:
    """
    Return the connection of a request to eventlet's server, which is told not to buffer.

    Left to itself it writes nothing before it has 4 KB of a body, not even the head.

    Args:
        environ: The request, as the server made it.
        is_stopping: What tells whether the process was told to stop.

    Returns:
        :obj:`None` if the server is not eventlet's, or one that looks different.
    """
    if "eventlet.input" not in environ:
        return None
    environ["eventlet.minimum_write_chunk_size"] = 1
    connection = getattr(environ["eventlet.input"], "_sock", None)
    if not isinstance(connection, plain_sockets()):
        return None
    return SocketConnection(environ, connection, is_stopping=is_stopping)
