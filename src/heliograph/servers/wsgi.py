"""
The connection of a request, whichever WSGI server it came from.

The first server that recognises the request answers; each of them is in a module of its
own. See :class:`~heliograph.servers.interface.WsgiConnection`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import a2wsgi, eventlet, gevent, gunicorn, uwsgi, waitress, werkzeug
from .stopping import stopping_process
from .wsgi_connection import SocketConnection

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from .interface import WsgiConnection

__all__ = ["connection_of"]


def connection_of(environ: WSGIEnvironment) -> WsgiConnection:
    """
    Return the connection of a request, in the thread that serves it.

    Touches nothing, except for an option of eventlet's for this request.

    Args:
        environ: The request, as the server made it.
    """
    is_stopping = stopping_process()
    return (
        gunicorn.wsgi_connection_of(environ, is_stopping)
        or werkzeug.connection_of(environ, is_stopping)
        or waitress.connection_of(environ, is_stopping)
        or gevent.connection_of(environ, is_stopping)
        or eventlet.connection_of(environ, is_stopping)
        or uwsgi.connection_of(environ, is_stopping)
        or a2wsgi.connection_of(environ, is_stopping)
        or SocketConnection(environ, is_stopping=is_stopping)
    )
