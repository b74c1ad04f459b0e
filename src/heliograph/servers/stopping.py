"""Whether the server of this process was told to stop, where only its signal tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .gunicorn import stopping_worker
from .signals import handler_of_stop
from .uvicorn_stop import stopping_server

if TYPE_CHECKING:
    from .interface import IsStopping

__all__ = ["stopping_process"]


def stopping_process() -> IsStopping | None:
    """
    Return what tells whether the server that handles SIGTERM in this process is to stop.

    Returns:
        :obj:`None` if no known server handles it.
    """
    server = handler_of_stop()
    return stopping_server(server) or stopping_worker(server)
