"""
A WSGI response that becomes a stream, for any framework.

Two ways lead to the client. If the server lets go of its connection, the hub gets it and
the server gets an empty response (``swap.py``), so the stream holds no thread. Otherwise
the server's thread pulls the stream from the hub, block by block.

An admitted client holds a slot until it is adopted, or until its response is closed or
collected. Each way out of this module gives the slot to one of these.
"""

from __future__ import annotations

import weakref
from email.utils import formatdate
from typing import TYPE_CHECKING

from ..servers.swap import response_head
from ..servers.wsgi import connection_of
from .admission import admit
from .refusal import Refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from ..hub import Admission, StreamHub, Ticket
    from ..servers.advice import Advice
    from ..servers.interface import WsgiConnection

__all__ = ["serve_stream"]

_PIPELINED = (
    "a stream was asked for before the previous response on its connection was read: read"
    " that first, or use another connection"
)


def serve_stream(
    hub: StreamHub,
    admission: Admission,
    environ: WSGIEnvironment,
    start_response: StartResponse,
    *,
    status: str,
    headers: Iterable[tuple[str, str]],
    on_close: Callable[[], None],
    may_take_over: bool,
    advice: Advice,
) -> Iterable[bytes] | Refusal:
    """
    Serve a stream as the body of a response to GET.

    Call this when the server calls the response, after all hooks of the application: the
    head that is sent is the one given here.

    Args:
        hub: Serves the stream.
        admission: The stream that the client may open.
        environ: The request, as the server made it (PEP 3333).
        start_response: From the server.
        status: Code and reason, such as ``"200 OK"``.
        headers: Names and values. A ``Content-Length`` is ignored.
        on_close: Called when the server closes the response. Not for a refusal.
        may_take_over: Whether the connection may be taken over from the server.
        advice: Logs a warning if the set-up is going to cause problems.

    Returns:
        The body for the server, which has to close it. A :class:`Refusal` if the client
        is not served; then ``start_response`` has not been called.

    Raises:
        UnicodeEncodeError: A header is not Latin-1, which is all that HTTP/1 can carry.
    """
    accept = environ.get("HTTP_ACCEPT", "")
    connection = connection_of(environ)
    if connection.has_left() or connection.has_pending_output():
        # If it has left, nobody reads this.
        return unavailable(_PIPELINED, accept=accept, config=hub.config)
    ticket = admit(hub, admission, accept=accept)
    if isinstance(ticket, Refusal):
        return ticket
    response = _Response(hub, ticket, connection, on_close)
    try:
        advice.about_connections(environ, ticket.at_address)
        advice.about_memory(environ, hub.url)
        # What the server's own response says of its length is not true of a stream.
        lines = [line for line in headers if line[0].lower() != "content-length"]
        # Made before anything is taken: the server can still answer if it cannot be.
        date = ("Date", formatdate(usegmt=True))
        head = response_head(status, [*lines, date], connection.framing)
        if may_take_over:
            body = response.taken_over(start_response, status, lines, head)
            if body is not None:
                return body
            advice.about_waiting(environ, connection)
        return response.pulled(start_response, status, lines)
    except BaseException:
        # Not logged: the server does that. Only the slot is ours.
        hub.release(ticket)
        raise


class _Response:
    """An admitted client, on the way to one of two bodies."""

    def __init__(
        self,
        hub: StreamHub,
        ticket: Ticket,
        connection: WsgiConnection,
        on_close: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._ticket = ticket
        self._connection = connection
        self._on_close = on_close

    def taken_over(
        self,
        start_response: StartResponse,
        status: str,
        headers: list[tuple[str, str]],
        head: bytes,
    ) -> _Body | None:
        """Hand the connection to the hub. None if the server keeps it."""
        try:
            taken = self._connection.take_over()
        except OSError:
            # No descriptors are left, so the server's own has to do.
            taken = None
        if taken is None:
            return None
        connection, dummy = taken
        try:
            write = start_response(status, [*headers, ("Content-Length", "0")])
            head = dummy.written_head(write, self._connection.framing) or head
        except BaseException:
            # The server answers with an error, if it still can.
            dummy.give_back(connection)
            raise
        self._hub.adopt(self._ticket, connection, head, self._connection.framing)
        return _Body(dummy, self._on_close)

    def pulled(
        self, start_response: StartResponse, status: str, headers: list[tuple[str, str]]
    ) -> _Body:
        """Serve the client from the thread that iterates."""
        connection = self._connection
        self._hub.locate(self._ticket)
        blocks = self._hub.pull(
            self._ticket,
            connection.descriptor,
            connection.adapter,
            connection.is_stopping,
        )
        body = _Body(blocks, self._on_close)
        body.release_when_dropped(self._hub, self._ticket)
        start_response(status, headers)
        return body


class _Body:
    """
    A body that is closed with its response.

    An iterator and not an iterable: middleware may keep what ``iter`` returns and drop
    this, and what is dropped gives its slot back.

    Args:
        blocks: The body. Closed with it, if it can be closed.
        on_close: Called when the server closes the response.
    """

    def __init__(self, blocks: Iterable[bytes], on_close: Callable[[], None]) -> None:
        self._source = blocks
        self._blocks = iter(blocks)
        self._on_close = on_close
        self._release: weakref.finalize[..., _Body] | None = None

    def release_when_dropped(self, hub: StreamHub, ticket: Ticket) -> None:
        """
        Release a slot when the response is closed or collected.

        A generator that was never started has nothing to run when it is closed, and a
        response that is dropped on its way to the server is not closed at all.
        """
        self._release = weakref.finalize(self, hub.release, ticket)
        self._release.atexit = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._blocks)

    def close(self) -> None:
        """Close the stream and then the response. WSGI servers call this (PEP 3333)."""
        try:
            close = getattr(self._source, "close", None)
            if close is not None:
                close()
        finally:
            if self._release is not None:
                self._release()
            self._on_close()
