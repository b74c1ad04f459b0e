"""
A WSGI response that becomes a stream, for any framework.

Two ways lead to the client. If the server lets go of its connection, the hub gets it, so
the stream holds no thread. Otherwise the server's thread pulls the stream from the hub,
block by block.

**How a connection is taken over.** The body that the server gets swaps the connection for a
dummy (``swap.py``) when it is first asked for bytes, and yields a comment. PEP 3333 has the
server write the head and the comment before it asks for more. By then all middleware has
had its say, also one that calls ``start_response`` late: so the head in the dummy is the
head that the client gets, and the body ends for the server. If the dummy has no head, or
something else than the comment, a middleware keeps or changes what is sent. Then the server
gets its connection again, with what it has written, and its thread pulls.

An admitted client holds a slot until it is adopted, or until its response is closed or
collected. Each way out of this module gives the slot to one of these.
"""

from __future__ import annotations

import contextlib
import weakref
from functools import partial
from typing import TYPE_CHECKING

from ..servers.swap import response_head
from ..servers.wsgi import connection_of
from ..wire.heads import NO_CONTENT, OF_A_BODY
from .admission import admit
from .refusal import Refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from ..hub import Admission, Leave, StreamHub, Ticket
    from ..servers.advice import Advice
    from ..servers.interface import Takeover, WsgiConnection
    from ..wire.coding import Coding

__all__ = ["serve_stream"]

_PIPELINED = (
    "a stream was asked for before the previous response on its connection was read: read"
    " that first, or use another connection"
)

# A comment (WHATWG HTML section 9.2.6): if the server keeps its connection, clients get it.
# As long as the most that a server keeps back before it writes: eventlet's, unless its own
# environment of the request says otherwise, and middleware may have made a copy of that.
# Letters of both cases, so that middleware that changes bytes changes these.
_COMMENT = b": A" + b"Aa" * 2046 + b"\n"


def serve_stream(
    hub: StreamHub,
    admission: Admission,
    environ: WSGIEnvironment,
    start_response: StartResponse,
    *,
    status: str,
    headers: Iterable[tuple[str, str]],
    on_close: Callable[[], None] | None,
    may_take_over: bool,
    advice: Advice,
    on_leave: Callable[[Leave], None] | None = None,
) -> Iterable[bytes] | Refusal:
    """
    Serve a stream as the body of a response.

    Call this when the server calls the response, after all hooks of the application.

    Args:
        hub: Serves the stream.
        admission: The stream that the client may open.
        environ: The request, as the server made it (PEP 3333).
        start_response: From the server.
        status: Code and reason, such as ``"200 OK"``.
        headers: Names and values. A ``Content-Length`` is ignored.
        on_close: Called when the stream has ended. Where the hub has the connection, that
            is in another thread, which it may hold up; otherwise in the one in which the
            server closes the response. Not called for a refusal. :obj:`None` for nothing.
        may_take_over: Whether the connection may be taken over from the server.
        advice: Logs a warning if the set-up is going to cause problems.
        on_leave: Called once in a thread of the hub when the client has left or its stream
            has ended, whoever has the connection. Not called for a refusal.

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
    try:
        if on_leave is not None:
            hub.when_left(ticket, on_leave)
        advice.about_connections(environ, ticket.at_address)
        advice.about_recycling(environ, ticket.in_process)
        advice.about_memory(environ, hub.url)
        # What the server's own response says of its length is not true of a stream.
        lines = [line for line in headers if line[0].lower() != "content-length"]
        # Checked before anything is taken: the server can still answer if it cannot be.
        response_head(status, lines, connection.framing)
        client = _Client(hub, ticket, connection, admission.coding, on_close)
        blocks: Iterator[bytes] = iter(())
        if may_take_over and connection.may_be_taken:
            blocks = client.handed_over(
                start_response, partial(advice.about_waiting, environ, connection)
            )
        else:
            if may_take_over:
                advice.about_waiting(environ, connection)
            # Now, since there are servers that send the head before they ask for a body.
            if hub.locate(ticket):
                blocks = client.pulled()
            else:
                status = NO_CONTENT
                lines = [line for line in lines if line[0].lower() not in OF_A_BODY]
        body = _Body(client, blocks)
        start_response(status, lines)
    except BaseException:
        # Not logged: the server does that. Only the slot is ours.
        hub.release(ticket)
        raise
    return body


class _Client:
    """An admitted client, on one of two ways."""

    def __init__(
        self,
        hub: StreamHub,
        ticket: Ticket,
        connection: WsgiConnection,
        coding: Coding,
        on_close: Callable[[], None] | None,
    ) -> None:
        self._hub = hub
        self._ticket = ticket
        self._connection = connection
        self._coding = coding
        self._on_close = on_close
        self._takeover: Takeover | None = None

    def handed_over(
        self, start_response: StartResponse, on_kept: Callable[..., None]
    ) -> Iterator[bytes]:
        """
        Hand the connection to the hub when the server has written the head.

        Args:
            start_response: From the server.
            on_kept: Called if the server keeps its connection, with whether that is since
                the comment was changed, ``is_changed``.

        Yields:
            A comment, for the dummy; the stream, if the server keeps its connection.
        """
        connection, prologue = self._connection, b""
        is_changed = False
        try:
            takeover = connection.begin_takeover(start_response)
        except OSError:
            # No descriptors are left, so the server's own has to do.
            takeover = None
        if takeover is not None:
            prologue = self._coding.prologue
            comment = prologue + self._coding.code((_COMMENT,))
            clients = None
            try:
                yield comment
                head = takeover.written_head(comment, connection.framing)
                is_changed = head is None
                if head is not None:
                    # Again there may be no descriptors.
                    with contextlib.suppress(OSError):
                        clients = takeover.connection()
                if clients is not None:
                    # Closed with the response, since the server ends the body in between.
                    self._takeover = takeover
            finally:
                if self._takeover is None:
                    takeover.give_back()
            if clients is not None and head is not None:
                on_close = self._on_close
                if on_close is not None:
                    self._hub.when_left(self._ticket, lambda _: on_close())
                self._hub.adopt(self._ticket, clients, head, connection.framing)
                return
        on_kept(is_changed=is_changed)
        # Without a stream it ends at once: the head has been written.
        self._hub.locate(self._ticket)
        for block in self.pulled():
            # A stream has one, which the comment has begun with.
            yield block.removeprefix(prologue)
            prologue = b""

    def pulled(self) -> Iterator[bytes]:
        """Return the stream, for the thread that iterates."""
        connection = self._connection
        return self._hub.pull(
            self._ticket,
            connection.descriptor,
            connection.adapter,
            connection.is_stopping,
        )

    def release(self) -> None:
        """Release the slot, unless the hub serves the client."""
        if self._takeover is None:
            self._hub.release(self._ticket)

    def close(self) -> None:
        """End the response of the server."""
        if self._takeover is not None:
            self._takeover.close()
        elif self._on_close is not None:
            self._on_close()


class _Body:
    """
    A body that is closed with its response.

    An iterator and not an iterable: middleware may keep what ``iter`` returns and drop
    this, and what is dropped gives its slot back.

    Args:
        client: Released when this is closed or collected. A generator that was never
            started has nothing to run when it is closed, and a response that is dropped on
            its way to the server is not closed at all.
        blocks: The body: a generator.
    """

    def __init__(self, client: _Client, blocks: Iterator[bytes]) -> None:
        self._client = client
        self._blocks = blocks
        self._release = weakref.finalize(self, client.release)
        self._release.atexit = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._blocks)

    def close(self) -> None:
        """Close the stream and then the response. WSGI servers call this (PEP 3333)."""
        try:
            close = getattr(self._blocks, "close", None)
            if close is not None:
                close()
        finally:
            self._release()
            self._client.close()
