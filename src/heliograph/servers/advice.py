"""Warnings about a WSGI set-up that will hurt, logged once by each process."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from . import uwsgi
from .log_once import warn_once

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from .interface import WsgiConnection

__all__ = [
    "advise_about_connections",
    "advise_about_forks",
    "advise_about_memory",
    "advise_about_uwsgi",
    "advise_about_waiting",
]

# Documented under this name (docs/deployment.md).
_log = logging.getLogger("heliograph.flask")

# How many connections browsers open to a host in HTTP/1.1, in all tabs together.
_CONNECTIONS = 6

# What proxies add, which may speak HTTP/2 with browsers.
_OF_PROXIES = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
)


def advise_about_connections(environ: WSGIEnvironment, streams: int) -> None:
    """
    Warn about a browser whose next request waits, because it has too many streams open.

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
        _warn(
            "Six streams are open at one address. If that is one browser: in HTTP/1.1 it"
            " opens no more than six connections to a site, in all its tabs together, so"
            " its next request waits until one of them ends. Let a page ask for all its"
            " channels in one stream, or put a proxy with HTTP/2 in front"
            " (docs/deployment.md)."
        )


def advise_about_uwsgi() -> None:
    """Warn about a uWSGI without threads. Call this when the application starts."""
    if uwsgi.runs_no_threads():
        _warn(
            "uWSGI runs Python without threads, so no event will ever be sent."
            " Start it with --enable-threads (enable-threads = true)."
        )


def advise_about_forks() -> None:
    """Warn about a uWSGI that will fork without telling Python. Call this at first use."""
    if uwsgi.is_about_to_fork():
        _warn(
            "This application publishes while uWSGI loads it, and uWSGI is going to fork"
            " without telling Python, so its workers will send nothing."
            " Start it with --lazy-apps (lazy-apps = true)."
        )


def advise_about_memory(environ: WSGIEnvironment, url: str) -> None:
    """
    Warn about processes that share no storage: they do not get each other's events.

    Args:
        environ: A request, as the server made it.
        url: Where the channels live.
    """
    # Some adapters claim several processes although there is one.
    is_sure = "uwsgi" in sys.modules or _server(environ).startswith("gunicorn")
    if url == "memory:" and is_sure and environ.get("wsgi.multiprocess"):
        _warn(
            "SSE_URL is memory:, and there are several processes here: an event reaches the"
            " streams of the process that publishes it, and no others. Leave SSE_URL out,"
            " or let them share a Redis (docs/channels.md)."
        )


def advise_about_waiting(environ: WSGIEnvironment, connection: WsgiConnection) -> None:
    """
    Warn about what a stream holds that was not taken over, if it is more than a greenlet.

    Args:
        environ: Its request, as the server made it.
        connection: The client's.
    """
    if environ.get("HTTP_USER_AGENT", "").startswith("Werkzeug/"):
        return  # the client of a test
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("select"):
        return
    server = _server(environ)
    if connection.is_encrypted and environ.get("wsgi.multithread"):
        _warn(
            f"Each open stream holds a thread of {server}, because it ends TLS itself:"
            " with as many streams as threads the site stands still. Let a proxy such as"
            " nginx end TLS (docs/deployment.md)."
        )
    elif connection.is_encrypted:
        _warn(
            f"Requests are answered one at a time by {server}, and it ends TLS itself, so"
            " a stream is not taken over: nothing else is answered while one is open. Let a"
            " proxy such as nginx end TLS (docs/deployment.md)."
        )
    elif environ.get("wsgi.multithread"):
        _warn(
            f"Each open stream holds a thread of {server}: with as many streams as threads"
            " the site stands still. Give it more threads than there will be streams, or"
            " use a server whose connections can be taken over, such as gunicorn"
            " (docs/servers.md)."
        )
    else:
        _warn(
            f"Requests are answered one at a time by {server}, and a stream does not end:"
            " nothing else is answered while one is open. Use a server whose connections"
            " can be taken over, such as gunicorn (docs/servers.md)."
        )


def _server(environ: WSGIEnvironment) -> str:
    # Adapters from ASGI give no name.
    return str(environ.get("SERVER_SOFTWARE", "this server"))


def _warn(text: str) -> None:
    warn_once(_log, text, text)
