"""What is said, once for each process, about a set-up that will hurt."""

from __future__ import annotations

import logging
import sys
from typing import Any

from ..servers.wsgi import is_encrypted

__all__ = [
    "advise_about_connections",
    "advise_about_forks",
    "advise_about_memory",
    "advise_about_uwsgi",
    "advise_about_waiting",
]

_log = logging.getLogger("heliograph.flask")

_told: set[str] = set()

# How many connections browsers open to a host in HTTP/1.1, in all tabs together.
_CONNECTIONS = 6

# What proxies add, which may speak HTTP/2 with browsers.
_OF_PROXIES = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
)


def advise_about_connections(environ: dict[str, Any], streams: int) -> None:
    """
    Say why a browser stands still that has opened as many streams as it may.

    Args:
        environ: Its request, as the server made it.
        streams: How many its address has open in this process, this one included.
    """
    if (
        streams >= _CONNECTIONS
        and environ.get("HTTP_USER_AGENT", "").startswith("Mozilla/")
        and environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
        and not any(name in environ for name in _OF_PROXIES)
    ):
        _tell(
            "Six streams are open at one address. If that is one browser: in HTTP/1.1 it"
            " opens no more than six connections to a site, in all its tabs together, so"
            " its next request waits until one of them ends. Let a page ask for all its"
            " channels in one stream, or put a proxy with HTTP/2 in front"
            " (docs/deployment.md)."
        )


def advise_about_uwsgi() -> None:
    """Say that uWSGI runs no threads, where it does not: at start."""
    uwsgi = sys.modules.get("uwsgi")
    options = getattr(uwsgi, "opt", None)
    if options is not None and not {"enable-threads", "threads"} & set(options):
        _tell(
            "uWSGI runs Python without threads, so no event will ever be sent."
            " Start it with --enable-threads (enable-threads = true)."
        )


def advise_about_forks() -> None:
    """Say that uWSGI is about to fork without telling Python, where it is: at first use."""
    uwsgi = sys.modules.get("uwsgi")
    if (
        uwsgi is not None
        and uwsgi.worker_id() == 0
        and {"master", "processes", "workers"} & set(uwsgi.opt)
    ):
        _tell(
            "This application publishes while uWSGI loads it, and uWSGI is going to fork"
            " without telling Python, so its workers will send nothing."
            " Start it with --lazy-apps (lazy-apps = true)."
        )


def advise_about_memory(environ: dict[str, Any], url: str) -> None:
    """
    Say that processes which share no storage do not hear each other.

    Args:
        environ: A request, as the server made it.
        url: Where the channels live.
    """
    # Some adapters say so although there is one process.
    is_sure = "uwsgi" in sys.modules or _server(environ).startswith("gunicorn")
    if url == "memory:" and is_sure and environ.get("wsgi.multiprocess"):
        _tell(
            "SSE_URL is memory:, and there are several processes here: an event reaches the"
            " streams of the process that publishes it, and no others. Leave SSE_URL out,"
            " or let them share a Redis (docs/channels.md)."
        )


def advise_about_waiting(environ: dict[str, Any]) -> None:
    """
    Say what a stream holds that could not be taken over, if that is more than a greenlet.

    Args:
        environ: Its request, as the server made it.
    """
    if environ.get("HTTP_USER_AGENT", "").startswith("Werkzeug/"):
        return  # a test's client
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("select"):
        return
    server = _server(environ)
    if is_encrypted(environ) and environ.get("wsgi.multithread"):
        _tell(
            f"Each open stream holds a thread of {server}, because it ends TLS itself:"
            " with as many streams as threads the site stands still. Let a proxy such as"
            " nginx end TLS (docs/deployment.md)."
        )
    elif is_encrypted(environ):
        _tell(
            f"Requests are answered one at a time by {server}, and it ends TLS itself, so"
            " a stream is not taken over: nothing else is answered while one is open. Let a"
            " proxy such as nginx end TLS (docs/deployment.md)."
        )
    elif environ.get("wsgi.multithread"):
        _tell(
            f"Each open stream holds a thread of {server}: with as many streams as threads"
            " the site stands still. Give it more threads than there will be streams, or"
            " use a server whose connections can be taken over, such as gunicorn"
            " (docs/servers.md)."
        )
    else:
        _tell(
            f"Requests are answered one at a time by {server}, and a stream does not end:"
            " nothing else is answered while one is open. Use a server whose connections"
            " can be taken over, such as gunicorn (docs/servers.md)."
        )


def _server(environ: dict[str, Any]) -> str:
    # Adapters from ASGI give no name.
    return str(environ.get("SERVER_SOFTWARE", "this server"))


def _tell(text: str) -> None:
    if text not in _told:
        _told.add(text)
        _log.warning(text)
