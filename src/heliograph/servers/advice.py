"""Warnings about problems to expect in a WSGI set-up, logged once by each process."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ..documentation import page
from . import uwsgi
from .log_once import warn_once
from .recycling import request_limit

if TYPE_CHECKING:
    import logging
    from wsgiref.types import WSGIEnvironment

    from .interface import RequestLimit, WsgiConnection

__all__ = ["Advice"]

# How many connections browsers open to a host in HTTP/1.1, in all tabs together.
_CONNECTIONS = 6

# With fewer requests for each stream of a process, more than a tenth of all requests are
# reconnects that a replaced process has caused.
_REQUESTS_PER_STREAM = 10

# Headers that proxies add. A proxy may use HTTP/2 with browsers.
_OF_PROXIES = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
)


class Advice:
    """
    The warnings of one face.

    Args:
        log: The logger of the face.
        url_setting: Name of the setting that holds the URL of the channels, for the
            messages; such as ``SSE_URL``.
    """

    def __init__(self, log: logging.Logger, *, url_setting: str) -> None:
        self._log = log
        self._url_setting = url_setting
        # By the id of the process: a child of a fork may have another server.
        self._limits: dict[int, RequestLimit | None] = {}

    def about_connections(self, environ: WSGIEnvironment, streams: int) -> None:
        """
        Warn about a browser whose next request waits, because it has too many streams open.

        Args:
            environ: The request for a stream, as the server made it.
            streams: Number of streams that the client's address has open in this process,
                including this one.
        """
        if (
            streams >= _CONNECTIONS
            and environ.get("HTTP_USER_AGENT", "").startswith("Mozilla/")
            and environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
            and not any(name in environ for name in _OF_PROXIES)
        ):
            self._warn(
                "Six streams are open at one address. If that is one browser: in HTTP/1.1"
                " it opens no more than six connections to a site, in all its tabs"
                " together, so its next request waits until one of them ends. Let a page"
                " ask for all its channels in one stream, or put a proxy with HTTP/2 in"
                f" front ({page('deployment.md')})."
            )

    def about_recycling(self, environ: WSGIEnvironment, streams: int) -> None:
        """
        Warn about a server that replaces its processes after too few requests.

        Args:
            environ: The request for a stream, as the server made it.
            streams: Number of streams that are open in this process, including this one.
        """
        if os.getpid() not in self._limits:
            # It does not change, and looking for it takes a part of each stream's time.
            self._limits = {os.getpid(): request_limit()}
        limit = self._limits[os.getpid()]
        if limit is not None and streams * _REQUESTS_PER_STREAM > limit.requests:
            self._warn(
                f"{_server(environ)} replaces this process after {limit.requests} requests"
                f" ({limit.option}), and each stream is one of them: {streams} are open"
                " here. All of them reconnect then, which uses up the requests of the next"
                f" process. Set {limit.option} to at least {_REQUESTS_PER_STREAM} times the"
                f" streams of a process, or leave it out ({page('servers.md')}).",
                subject="recycling",
            )

    def about_uwsgi(self) -> None:
        """Warn about uWSGI without threads. Call this when the application starts."""
        if uwsgi.runs_no_threads():
            self._warn(
                "uWSGI runs Python without threads, so no event will ever be sent. Start"
                " it with --enable-threads (enable-threads = true)."
            )

    def about_forks(self) -> None:
        """
        Warn about uWSGI that will fork without telling Python.

        Call this before the hub is created.
        """
        if uwsgi.is_about_to_fork():
            self._warn(
                "This application publishes while uWSGI loads it, and uWSGI is going to"
                " fork without telling Python, so its workers will send nothing. Start it"
                " with --lazy-apps (lazy-apps = true)."
            )

    def about_memory(self, environ: WSGIEnvironment, url: str) -> None:
        """
        Warn about processes that share no storage: they do not get each other's events.

        Args:
            environ: A request, as the server made it.
            url: The URL of the channels.
        """
        # Some adapters claim several processes although there is one.
        is_sure = "uwsgi" in sys.modules or _server(environ).startswith("gunicorn")
        if url == "memory:" and is_sure and environ.get("wsgi.multiprocess"):
            self._warn(
                f"{self._url_setting} is memory:, and there are several processes here: an"
                " event reaches the streams of the process that publishes it, and no"
                f" others. Leave {self._url_setting} out, or let them share a Redis"
                f" ({page('channels.md')})."
            )

    def about_waiting(
        self,
        environ: WSGIEnvironment,
        connection: WsgiConnection,
        *,
        is_changed: bool = False,
    ) -> None:
        """
        Warn about the thread or process that a stream occupies if it is not taken over.

        Nothing is logged under gevent: a greenlet costs next to nothing.

        Args:
            environ: The request for the stream, as the server made it.
            connection: The client's connection.
            is_changed: Whether the server did not write what it was given: a middleware
                has changed it, or keeps it back.
        """
        if environ.get("HTTP_USER_AGENT", "").startswith("Werkzeug/"):
            return  # the client of a test
        monkey = sys.modules.get("gevent.monkey")
        if monkey is not None and monkey.is_module_patched("select"):
            return
        server = _server(environ)
        if is_changed:
            self._warn(
                f"Each open stream holds a thread of {server}, because a middleware changes"
                " the body of responses, or keeps it back. Let the middleware pass"
                f" text/event-stream as it is ({page('servers.md')})."
            )
        elif connection.is_encrypted and environ.get("wsgi.multithread"):
            self._warn(
                f"Each open stream holds a thread of {server}, because it ends TLS itself:"
                " with as many streams as threads the site stands still. Let a proxy such"
                f" as nginx end TLS ({page('deployment.md')})."
            )
        elif connection.is_encrypted:
            self._warn(
                f"Requests are answered one at a time by {server}, and it ends TLS itself,"
                " so a stream is not taken over: nothing else is answered while one is"
                f" open. Let a proxy such as nginx end TLS ({page('deployment.md')})."
            )
        elif environ.get("wsgi.multithread"):
            self._warn(
                f"Each open stream holds a thread of {server}: with as many streams as"
                " threads the site stands still. Give it more threads than there will be"
                " streams, or use a server whose connections can be taken over, such as"
                f" gunicorn ({page('servers.md')})."
            )
        else:
            self._warn(
                f"Requests are answered one at a time by {server}, and a stream does not"
                " end: nothing else is answered while one is open. Use a server whose"
                f" connections can be taken over, such as gunicorn ({page('servers.md')})."
            )

    def _warn(self, text: str, subject: str | None = None) -> None:
        warn_once(self._log, subject or text, text)


def _server(environ: WSGIEnvironment) -> str:
    # Adapters from ASGI give no name.
    return str(environ.get("SERVER_SOFTWARE", "this server"))
