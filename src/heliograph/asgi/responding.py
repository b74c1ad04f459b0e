"""
The stream with which a view answers: an ASGI application for one request, or several.

The view has chosen the channels and who may listen, so nothing but the last event id is
read from the request. Fields that the application adds to the response are sent with
whatever becomes of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from ..channels.names import check_selection
from ..channels.start import Start
from ..faces import Admission, Refusal, admission_by_view, admit, stream_headers
from ..faces.tokens import seconds_of
from ..hub import Leave
from ..servers.asgi import expecting_stop
from ..wire.heads import OF_A_BODY
from .advice import about_memory
from .leaving import Leaving, check_on_leave
from .messages import body, encoded, refuse, start_with
from .naming import NamedAsFunction
from .request import stream_request
from .serving import serve_client

if TYPE_CHECKING:
    from datetime import timedelta

    from ..channels.options import ChannelPatterns
    from ..faces.loop_hub import LoopHub
    from ..servers.asgi_types import Receive, Scope, Send
    from .leaving import OnLeave

__all__ = ["Headers", "ViewStream"]

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]

# Their values are those of the stream, whatever an application has set.
_OWN = frozenset({*OF_A_BODY, "cache-control", "x-accel-buffering"})


class ViewStream(NamedAsFunction):
    """
    An ASGI application that answers a request with a stream, whatever its method.

    Args:
        hub: The hub that serves it.
        channels: The channels of the stream, 1 to 64.
        options: The options of channels.
        start: Where the stream begins without an id. See :meth:`.Start.parse`.
        expires_in: See :func:`.admission_by_view`.
        on_leave: Called once for each request when its client has left. May be async.
        headers: Fields of the application, added to the response.
        may_take_over: Whether connections may be taken over from the server.

    Raises:
        InvalidFieldError: A channel, their number, ``start`` or ``expires_in`` is not
            valid.
        TypeError: ``on_leave`` cannot be called with one argument.

    Attributes:
        fields: The fields of the response's head: those of the application, and those of a
            stream.
    """

    # FastAPI answers with vars() of what a view returns and it does not know.
    __slots__ = (
        "__weakref__",
        "_channels",
        "_expires_in",
        "_hub",
        "_may_take_over",
        "_on_leave",
        "_options",
        "_start",
        "fields",
    )

    def __init__(
        self,
        hub: LoopHub,
        channels: Iterable[str],
        options: ChannelPatterns,
        *,
        start: object,
        expires_in: float | timedelta | None,
        on_leave: OnLeave | None,
        headers: Headers | None,
        may_take_over: bool,
    ) -> None:
        self._channels = check_selection(channels)
        Start.parse(start)
        if expires_in is not None:
            seconds_of(expires_in)
        check_on_leave(on_leave)
        self._hub = hub
        self._options = options
        self._start = start
        self._expires_in = expires_in
        self._on_leave = on_leave
        self._may_take_over = may_take_over
        given = headers.items() if isinstance(headers, Mapping) else headers or ()
        self.fields = [
            *encoded((name, text) for name, text in given if name.lower() not in _OWN),
            *encoded(stream_headers(Admission(self._channels))),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Answer a request. See the ASGI specification.

        Raises:
            ValueError: The connection is not HTTP.
        """
        await self.answer(scope, receive, send, self.fields)

    async def answer(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        fields: Iterable[tuple[bytes, bytes]],
    ) -> None:
        """
        Answer a request with other fields than :attr:`fields`.

        Args:
            scope: The connection's.
            receive: The server's.
            send: The server's.
            fields: The fields of the head of the stream.

        Raises:
            ValueError: The connection is not HTTP.
        """
        if scope["type"] != "http":
            raise ValueError(f"streams are HTTP, not {scope['type']!r}")
        leaving = None
        if self._on_leave is not None:
            leaving = Leaving(self._on_leave, self._hub.tasks)
        try:
            with expecting_stop(receive):
                is_served = await self._answer(scope, receive, send, [*fields], leaving)
        except BaseException:
            _forgo(leaving)
            raise
        if not is_served:
            _forgo(leaving)

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        fields: list[tuple[bytes, bytes]],
        leaving: Leaving | None,
    ) -> bool:
        """Answer a request, and return whether the hub is going to tell of the leaving."""
        request = stream_request(scope, follows_view=True)
        admission = admission_by_view(
            request,
            self._channels,
            self._options,
            start=self._start,
            expires_in=self._expires_in,
            is_traced=leaving is not None,
            now=time.time(),
        )
        if isinstance(admission, Refusal):
            await refuse(send, admission, fields)
            return False
        encoding = admission.coding.content_encoding
        if encoding is not None:
            fields.append((b"content-encoding", encoding.encode()))
        head = start_with(200, fields)
        if scope["method"] == "HEAD":
            await send(head)
            await send(body(b"", more=False))
            return False
        about_memory(self._hub.url)
        hub = await self._hub.opened()
        ticket = admit(hub, admission, accept=request.headers.get("accept", ""))
        if isinstance(ticket, Refusal):
            await refuse(send, ticket, fields)
            return False
        if leaving is not None:
            hub.when_left(ticket, leaving)
        await serve_client(
            hub,
            ticket,
            receive,
            send,
            head=head,
            coding=admission.coding,
            may_take_over=self._may_take_over,
        )
        return True


def _forgo(leaving: Leaving | None) -> None:
    """Call a function for a client that got no stream, unless the hub has."""
    if leaving is not None:
        leaving(Leave(0.0, None))
