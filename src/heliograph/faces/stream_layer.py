"""
The WSGI layer in which a response of an application becomes a stream.

A face puts the layer around the application. A view *offers* a stream: it leaves what is
needed to serve it in the request's environment, and returns a response of its framework
that has no body, but is streamed, and the headers from :func:`offer_stream`. When the
application starts that response, after all of its hooks, the layer replaces the body by the
stream.

So nothing depends on the class of the response or on its body: ``app.response_class``
replaces the one, hooks that compress or copy responses the other. A response is the stream
for as long as it has status 200 and the header that marks it. A hook that answers
otherwise, with another status or a response of its own, is obeyed. What hooks said about
the body that they saw is not true of the stream, and not sent.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ..hub import Leave
from .headers import stream_headers
from .refusal import Refusal, log_refusal
from .wsgi import serve_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from ..hub import Admission, StreamHub
    from ..servers.advice import Advice

    _Headers = list[tuple[str, str]]

__all__ = ["StreamLayer", "StreamOffer", "offer_stream"]

_log = logging.getLogger("heliograph.streams")

_KEY = "heliograph.stream"

# Not sent. A header and not a mark on the response, which hooks may replace by a copy.
_MARK = ("X-Heliograph-Stream", "offered")

# Fields of a response that describe one body, or that let a client ask for it again or for
# parts of it (RFC 9110 sections 8.4, 8.6, 8.8, 14.3 and 14.4; RFC 9530 section 2; RFC 3230
# section 4.3.2; RFC 2616 section 14.15).
_OF_A_BODY = frozenset(
    {
        "accept-ranges",
        "content-digest",
        "content-encoding",
        "content-length",
        "content-md5",
        "content-range",
        "digest",
        "etag",
        "last-modified",
        "repr-digest",
        _MARK[0].lower(),
    }
)

# Fields of a request that make a response conditional or partial (RFC 9110 sections 13.1
# and 14.2). A stream has no validators: 304 would tell a client that it has the body.
_CONDITIONS = (
    "HTTP_IF_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_RANGE",
    "HTTP_IF_UNMODIFIED_SINCE",
    "HTTP_RANGE",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOffer:
    """
    A stream that an application lets a client have.

    Args:
        hub: Serves the stream.
        admission: The stream that the client may open.
        may_take_over: Whether the connection may be taken over from the server.
        advice: Logs a warning if the set-up is going to cause problems.
        has_callbacks: Returns whether something happens when a body is closed that the
            application has returned. If so, the body is kept for as long as its stream,
            which takes some 2 KB.
        on_leave: Called once for the offer, whatever becomes of it. In a thread of the hub
            when the client has left or its stream has ended; in the one of the request if
            the client gets no stream. It must not raise.
    """

    hub: StreamHub
    admission: Admission
    may_take_over: bool
    advice: Advice
    has_callbacks: Callable[[object], bool]
    on_leave: Callable[[Leave], None] | None = None


def offer_stream(environ: WSGIEnvironment, offer: StreamOffer) -> _Headers:
    """
    Offer a stream as the response to a request.

    Args:
        environ: The request. Its conditions are removed, so that no hook answers that the
            client has the response already, or sends a part of it.
        offer: The stream.

    Returns:
        The headers for the response, which has to have an empty body without a length.

    Raises:
        LookupError: No :class:`StreamLayer` is around the application.
    """
    offered = environ[_KEY]
    for condition in _CONDITIONS:
        environ.pop(condition, None)
    if offer.on_leave is not None:
        offer = dataclasses.replace(offer, on_leave=_Once(offer.on_leave))
    offered.append(offer)
    # The coding is added by the layer: a hook may compress what it answers instead.
    fields = stream_headers(offer.admission)
    return [_MARK, *(field for field in fields if field[0] != "Content-Encoding")]


class StreamLayer:
    """
    WSGI middleware that serves the streams that an application offers.

    Args:
        application: The WSGI application.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve a request. See PEP 3333."""
        # A list, which middleware that copies the environment passes on.
        offered: list[StreamOffer] = []
        environ[_KEY] = offered
        exchange = _Exchange(offered, environ, start_response)
        try:
            return exchange.body_of(self._application(environ, exchange.start))
        except BaseException:
            exchange.forgo()
            raise


class _Exchange:
    """
    A request and its response.

    Args:
        offered: The streams that the application offers: none yet. The last one counts.
        environ: The request.
        start_response: From the server.
    """

    __slots__ = ("_delayed", "_environ", "_has_started", "_offered", "_start_response")

    def __init__(
        self,
        offered: list[StreamOffer],
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> None:
        self._offered = offered
        self._environ = environ
        self._start_response = start_response
        self._has_started = False
        self._delayed: tuple[str, _Headers] | None = None

    def start(
        self, status: str, headers: _Headers, exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """Start the response, or wait with that for its body. See PEP 3333."""
        self._has_started = True
        if self._offered:
            self._delayed = None
            name = _MARK[0].lower()
            unmarked = [field for field in headers if field[0].lower() != name]
            if len(unmarked) < len(headers) and status.startswith("200"):
                self._delayed = status, headers
                return _write_nothing
            self._log_if_empty(status, unmarked, is_marked=len(unmarked) < len(headers))
            headers = unmarked
        if exc_info is None:
            return self._start_response(status, headers)
        return self._start_response(status, headers, exc_info)

    def _log_if_empty(self, status: str, headers: _Headers, *, is_marked: bool) -> None:
        # A hook may refuse the stream, end it for good (204), or answer with a response of
        # its own. What is left has the type of a stream, and is ours without its body.
        types = [value for name, value in headers if name.lower() == "content-type"]
        if (
            status.startswith("2")
            and not status.startswith("204")
            and any(value.startswith("text/event-stream") for value in types)
        ):
            _log.error(
                "the stream at %s is sent as an empty response, because %s",
                self._environ.get("PATH_INFO", ""),
                f"its status is {status}: a stream needs 200"
                if is_marked
                else f"its header {_MARK[0]} was removed: let it pass, it is not sent",
            )

    def body_of(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """
        Return the body of the response.

        Args:
            body: What the application returned.
        """
        if self._delayed is not None:
            return self._served(body, *self._delayed)
        if not self._has_started:
            return self._late(body)
        self.forgo()
        return body

    def forgo(self, *, served: StreamOffer | None = None) -> None:
        """
        Call the functions of the offers that have become no stream.

        Args:
            served: The offer that has become one, if any.
        """
        for offer in self._offered:
            if offer.on_leave is not None and offer is not served:
                offer.on_leave(Leave(0.0, None))

    def _late(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the body of an application that starts its response when it is iterated."""
        blocks: Iterator[bytes] = iter(body)
        served: Iterable[bytes] | None = None
        try:
            try:
                first = next(blocks, b"")
                if self._delayed is None:
                    self.forgo()
                else:
                    served = self._served(body, *self._delayed)
            except BaseException:
                self.forgo()
                raise
            if served is None:
                yield first
                yield from blocks
            else:
                yield from served
        finally:
            _close(body if served is None else served)

    def _served(
        self, body: Iterable[bytes], status: str, headers: _Headers
    ) -> Iterable[bytes]:
        offer = self._offered[-1]
        fields = [field for field in headers if field[0].lower() not in _OF_A_BODY]
        encoding = offer.admission.coding.content_encoding
        coded = fields if encoding is None else [*fields, ("Content-Encoding", encoding)]
        if self._environ["REQUEST_METHOD"] == "HEAD":
            # With a length, though GET has none (RFC 9110 section 8.6): without, gevent and
            # waitress would send the end of a body in chunks after the head.
            self._start_response(status, [*coded, ("Content-Length", "0")])
            self.forgo()
            return body
        on_close = partial(_close, body) if offer.has_callbacks(body) else None
        try:
            served = serve_stream(
                offer.hub,
                offer.admission,
                self._environ,
                self._start_response,
                status=status,
                headers=coded,
                on_close=on_close,
                may_take_over=offer.may_take_over,
                advice=offer.advice,
                on_leave=offer.on_leave,
            )
        except BaseException:
            _close(body)
            raise
        if not isinstance(served, Refusal):
            self.forgo(served=offer)
            return served
        log_refusal(served)
        _close(body)
        self.forgo()
        self._start_response(
            f"{served.status} {HTTPStatus(served.status).phrase}",
            _with_fields_of(served, fields),
        )
        return [served.body]


class _Once:
    """A function of which only the first call counts, in whatever thread."""

    def __init__(self, function: Callable[[Leave], None]) -> None:
        self._functions = [function]

    def __call__(self, leave: Leave) -> None:
        try:
            function = self._functions.pop()
        except IndexError:
            return
        function(leave)


def _with_fields_of(refusal: Refusal, fields: _Headers) -> _Headers:
    """Return the fields of a refusal with those that hooks have added to the stream."""
    own = {name.lower() for name, _ in refusal.all_headers} - {"vary"}
    return [
        *(field for field in fields if field[0].lower() not in own),
        *refusal.all_headers,
    ]


def _write_nothing(data: bytes) -> None:
    """Ignore what is written of a body that a stream has replaced."""


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()
