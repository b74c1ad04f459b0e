"""
gunicorn: its workers for WSGI and its own worker for ASGI.

A worker waits for its responses when it is told to stop, and does not tell them. So it is
asked: the handler of SIGTERM is a method of the worker, and the task of an ASGI request
runs a coroutine of the worker's protocol.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .gunicorn_response import RecordedResponse, response_of
from .interface import RequestLimit
from .transport import TransportConnection, outermost_of_task
from .wsgi_connection import SocketConnection

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from .asgi_types import Receive, Send
    from .interface import IsStopping, Takeover

__all__ = [
    "GunicornConnection",
    "asgi_connection_of",
    "request_limit",
    "stopping_worker",
    "wsgi_connection_of",
]

# The worker gevent_pywsgi has the second one.
_ENVIRON_KEYS = ("gunicorn.socket", "gunicorn.sock")


def wsgi_connection_of(
    environ: WSGIEnvironment, is_stopping: IsStopping | None
) -> GunicornConnection | None:
    """
    Return the connection of a request to one of gunicorn's workers for WSGI.

    Args:
        environ: The request, as the server made it.
        is_stopping: What tells whether the process was told to stop.

    Returns:
        :obj:`None` if the server is not gunicorn.
    """
    for key in _ENVIRON_KEYS:
        connection = environ.get(key)
        if isinstance(connection, socket.socket):
            # gunicorn imports it where that is the protocol of its workers, and only there.
            is_http = "gunicorn.uwsgi.parser" not in sys.modules
            return GunicornConnection(
                environ, connection, is_http=is_http, is_stopping=is_stopping
            )
    return None


class GunicornConnection(SocketConnection):
    """A connection of one of gunicorn's workers for WSGI."""

    def begin_takeover(self, start_response: StartResponse) -> Takeover | None:
        """See :class:`~heliograph.servers.interface.WsgiConnection`."""
        connection = self.plain_connection
        if connection is not None and self.may_be_taken:
            response = response_of(start_response, connection)
            if response is not None:
                return RecordedResponse(response, connection)
        return super().begin_takeover(start_response)


def asgi_connection_of(receive: Receive, send: Send) -> TransportConnection | None:
    """
    Return the connection of a request to gunicorn's own ASGI worker, in the request's task.

    Args:
        receive: As the application got it.
        send: As the application got it.

    Returns:
        :obj:`None` if the server is not gunicorn, or if a middleware has started a task of
        its own.
    """
    module, variables = outermost_of_task()
    if module != "gunicorn.asgi.protocol":
        return None
    worker = getattr(variables.get("self"), "worker", None)
    return TransportConnection(receive, send, stopping_worker(worker))


@dataclass(frozen=True)
class _IsStopping:
    worker: Any

    def __call__(self) -> bool:
        return not self.worker.alive


def stopping_worker(worker: Any) -> IsStopping | None:
    """
    Return what tells whether a worker was told to stop.

    Args:
        worker: Any object, such as the one whose method handles SIGTERM.

    Returns:
        :obj:`None` if it is no worker of gunicorn, or one that looks different.
    """
    if _is_worker(worker) and isinstance(getattr(worker, "alive", None), bool):
        return _IsStopping(worker)
    return None


def request_limit(worker: Any) -> RequestLimit | None:
    """
    Return how many requests a worker has before it is replaced.

    Args:
        worker: As for :func:`stopping_worker`.

    Returns:
        :obj:`None` if there is no limit, or as for :func:`stopping_worker`.
    """
    limit, number = getattr(worker, "max_requests", None), getattr(worker, "nr", None)
    if not _is_worker(worker) or not isinstance(limit, int) or not isinstance(number, int):
        return None
    if limit == sys.maxsize:
        return None  # no limit
    return RequestLimit(limit, "--max-requests", number >= limit)


def _is_worker(worker: Any) -> bool:
    return any(
        kind.__module__.startswith("gunicorn.workers.") for kind in type(worker).__mro__
    )
