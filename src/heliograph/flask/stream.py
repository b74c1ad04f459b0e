"""
The response that is a stream.

It becomes one only when the server calls it, after every hook of the application has
run: so cookies and the headers of ``after_request`` are in the head that is sent.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from werkzeug.http import http_date
from werkzeug.wsgi import ClosingIterator

from flask import Response

from ..errors import HubClosedError, TooManySubscribersError
from ..servers.a2wsgi import connection_of
from ..servers.stopping import stopping
from ..servers.wsgi import (
    client_descriptor,
    has_left,
    has_pending_output,
    response_head,
    take_over,
)
from .advice import (
    advise_about_connections,
    advise_about_memory,
    advise_about_waiting,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..hub import StreamHub, Ticket

__all__ = ["RESTART_SECONDS", "EventStream"]

RESTART_SECONDS = 1
"""When a process is about to end, another is about to begin."""

_PIPELINED = (
    "a stream was asked for before the previous response on its connection was read: read"
    " that first, or use another connection"
)


class EventStream(Response):
    """
    A stream of events, or its head alone for HEAD.

    WHATWG HTML section 9.2.7 asks servers for ``text/event-stream``; the other headers
    keep caches and proxies from holding events back.

    Args:
        hub: Serves it.
        channels: What is asked for, sorted, each once.
        last_event_id: Where the client says that it is.
        expires_at: When the stream ends, in seconds since the epoch of Unix.
        address: From where the client has come, if the server says so.
        arrived_at: When the request arrived, before any hook of the application.
        may_take_over: Whether the connection may be taken from the server.
    """

    default_mimetype = "text/event-stream"

    def __init__(
        self,
        hub: StreamHub,
        channels: tuple[str, ...],
        *,
        last_event_id: str | None,
        expires_at: float | None,
        address: str | None,
        arrived_at: int,
        may_take_over: bool,
    ) -> None:
        super().__init__()
        self._hub = hub
        self._channels = channels
        self._last_event_id = last_event_id
        self._expires_at = expires_at
        self._address = address
        self._arrived_at = arrived_at
        self._may_take_over = may_take_over
        self.headers["Cache-Control"] = "no-store, no-transform"
        # nginx sends nothing on, not even the head, until 4 KB have come.
        self.headers["X-Accel-Buffering"] = "no"
        self.vary.add("Accept-Encoding")

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve the stream. See PEP 3333."""
        # To HEAD with a length of 0, though GET has none (RFC 9110 section 8.6): without,
        # gevent and waitress would send the end of a body in chunks after the head.
        if environ["REQUEST_METHOD"] != "GET" or self.status_code != 200:  # noqa: PLR2004 - OK
            return super().__call__(environ, start_response)
        if has_left(environ) or has_pending_output(environ):
            # Nobody is there to read why, in the former case.
            self._refuse(503, _PIPELINED, RESTART_SECONDS)
            return super().__call__(environ, start_response)
        try:
            ticket = self._hub.admit(
                self._channels,
                last_event_id=self._last_event_id,
                expires_at=self._expires_at,
                address=self._address,
                arrived_at=self._arrived_at,
            )
        except TooManySubscribersError as error:
            self._refuse(error.status, str(error), error.retry_after_seconds)
        except HubClosedError as error:
            self._refuse(503, str(error), RESTART_SECONDS)
        else:
            try:
                advise_about_connections(environ, ticket.at_address)
                advise_about_memory(environ, self._hub.url)
                return self._serve(ticket, environ, start_response)
            except BaseException:
                self._hub.release(ticket)
                raise
        return super().__call__(environ, start_response)

    def _refuse(self, status: int, reason: str, retry_after_seconds: int) -> None:
        self.status_code = status
        self.mimetype = "text/plain"
        self.retry_after = retry_after_seconds
        self.set_data(f"{reason}\n")

    def _serve(
        self, ticket: Ticket, environ: dict[str, Any], start_response: Any
    ) -> Iterable[bytes]:
        headers = list(self.get_wsgi_headers(environ))
        # Made before anything is taken: the server can still answer if it cannot be.
        head = response_head(self.status, [*headers, ("Date", http_date())])
        try:
            taken = take_over(environ) if self._may_take_over else None
        except OSError:
            # Out of descriptors: the server's own will have to do.
            taken = None
        if taken is None:
            return self._pull(ticket, environ, start_response)
        connection, dummy = taken
        try:
            write = start_response(self.status, headers)
            head = dummy.written_head(write) or head
        except BaseException:
            # The server answers with an error, if it still can.
            dummy.give_back(connection)
            raise
        self._hub.adopt(ticket, connection, head)
        return ClosingIterator(dummy, self.close)

    def _pull(
        self, ticket: Ticket, environ: dict[str, Any], start_response: Any
    ) -> Iterable[bytes]:
        if self._may_take_over:
            advise_about_waiting(environ)
        self._hub.locate(ticket)
        self.response = self._hub.pull(
            ticket, client_descriptor(environ), connection_of(environ), stopping()
        )
        # Frozen by somebody's hook, the response has the length of nothing.
        self.headers.pop("Content-Length", None)
        # A generator that was never begun has nothing to run when it is closed, and a
        # response that is dropped on its way to the server is not closed at all.
        left = weakref.finalize(self, self._hub.release, ticket)
        left.atexit = False
        self.call_on_close(left)
        return super().__call__(environ, start_response)
