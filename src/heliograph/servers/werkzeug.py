"""werkzeug's development server, which is Flask's: it says which socket a request is on."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from .wsgi_connection import SocketConnection

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from .interface import IsStopping

__all__ = ["connection_of"]


def connection_of(
    environ: WSGIEnvironment, is_stopping: IsStopping | None
) -> SocketConnection | None:
    """
    Return the connection of a request to werkzeug's server.

    Args:
        environ: The request, as the server made it.
        is_stopping: What tells whether the process was told to stop.

    Returns:
        :obj:`None` if the server is not werkzeug's.
    """
    connection = environ.get("werkzeug.socket")
    if not isinstance(connection, socket.socket):
        return None
    return SocketConnection(
        environ,
        connection,
        # A process that was forked for the request ends with the response.
        may_be_taken=not environ.get("wsgi.multiprocess"),
        is_stopping=is_stopping,
    )
