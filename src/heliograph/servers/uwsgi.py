"""uWSGI: the descriptor of the connection, and the options that streams need."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .interface import RequestLimit
from .wsgi_connection import SocketConnection

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from .interface import IsStopping

__all__ = ["connection_of", "is_about_to_fork", "request_limit", "runs_no_threads"]

# Options, or parts of their names, with which connections must stay uWSGI's: they carry
# TLS or another protocol, or belong to another loop than that of threads.
_NOT_TO_BE_TAKEN = (
    "async",
    "fastcgi",
    "gevent",
    "https-socket",
    "protocol",
    "raw-socket",
    "scgi",
    "ssl-socket",
    "suwsgi",
)

# Options for sockets of HTTP, of which uWSGI's own router passes on whatever it gets, and
# for those of the protocol uwsgi.
_HTTP = frozenset({"http", "http-socket", "http11-socket", "https"})
_NOT_HTTP = frozenset({"socket", "uwsgi-socket", "upwsgi-socket", "map-socket"})


def connection_of(
    environ: WSGIEnvironment, is_stopping: IsStopping | None
) -> SocketConnection | None:
    """
    Return the connection of a request to uWSGI.

    Args:
        environ: The request, as the server made it.
        is_stopping: What tells whether the process was told to stop.

    Returns:
        :obj:`None` if the server is not uWSGI, or if its options hide the connection.
    """
    if "uwsgi.version" not in environ:
        return None
    import uwsgi  # noqa: PLC0415 - exists only inside of it

    if any(part in name for name in uwsgi.opt for part in _NOT_TO_BE_TAKEN):
        return None
    # Which socket a request came from is not reported.
    is_http = bool(_HTTP & set(uwsgi.opt)) and not _NOT_HTTP & set(uwsgi.opt)
    number = int(uwsgi.connection_fd())
    return SocketConnection(
        environ, number=number, is_http=is_http, is_stopping=is_stopping
    )


def request_limit() -> RequestLimit | None:
    """
    Return how many requests a worker of uWSGI has before it is replaced.

    Returns:
        :obj:`None` if there is no limit, or if this is no uWSGI. That a limit is reached is
        not reported.
    """
    limit = getattr(sys.modules.get("uwsgi"), "opt", {}).get("max-requests", b"")
    requests = limit.decode() if isinstance(limit, bytes) else ""
    if not requests.isdecimal() or int(requests) == 0:
        return None
    return RequestLimit(int(requests), "--max-requests", is_reached=False)


def runs_no_threads() -> bool:
    """Return whether this is a uWSGI that runs Python without threads."""
    uwsgi = sys.modules.get("uwsgi")
    options = getattr(uwsgi, "opt", None)
    return options is not None and not {"enable-threads", "threads"} & set(options)


def is_about_to_fork() -> bool:
    """Return whether this is the master of a uWSGI, which forks without telling Python."""
    uwsgi = sys.modules.get("uwsgi")
    return (
        uwsgi is not None
        and uwsgi.worker_id() == 0
        and bool({"master", "processes", "workers"} & set(uwsgi.opt))
    )
