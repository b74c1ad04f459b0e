"""
The connection of a request, whichever ASGI server it came from.

The first server that recognises the request answers; each of them is in a module of its
own. See :class:`~heliograph.servers.interface.AsgiConnection`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import daphne, gunicorn, hypercorn, uvicorn
from .stopping import stopping_process
from .transport import TransportConnection
from .uvicorn_stop import expecting_stop

if TYPE_CHECKING:
    from .asgi_types import Receive, Send
    from .interface import AsgiConnection

__all__ = ["connection_of", "expecting_stop"]


def connection_of(receive: Receive, send: Send) -> AsgiConnection:
    """
    Return the connection of a request. Call this in the task that serves its stream.

    Once for each request: daphne lets a response have one producer.

    Args:
        receive: As the application got it.
        send: As the application got it.
    """
    return (
        uvicorn.connection_of(receive, send)
        or hypercorn.connection_of(receive, send)
        or gunicorn.asgi_connection_of(receive, send)
        or daphne.connection_of(receive, send, stopping_process())
        or TransportConnection(receive, send, stopping_process())
    )
