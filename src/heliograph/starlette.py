"""
Streams as responses of Starlette, and so of FastAPI.

Needs the extra ``heliograph[asgi]`` and Starlette itself, which FastAPI brings along.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from .asgi.streams import EventStreams

if TYPE_CHECKING:
    from datetime import timedelta

    from starlette.background import BackgroundTask
    from starlette.types import Message, Receive, Scope, Send

    from .asgi.leaving import OnLeave
    from .asgi.responding import Headers

__all__ = ["EventResponse"]

_OK = 200

# The fields of an event: OpenAPI 3.2 section 4.14.4, as in FastAPI's own streams.
_FIELDS: dict[str, dict[str, Any]] = {
    "data": {"type": "string"},
    "event": {"type": "string"},
    "id": {"type": "string"},
    "retry": {"type": "integer", "minimum": 0},
}


class EventResponse(Response):
    """
    A stream of channels that a view chooses, as a response of Starlette.

    Return it from a view of Starlette or FastAPI, of any method. It has no body, like a
    :class:`~starlette.responses.StreamingResponse`. See :meth:`.EventStreams.response`.

    Args:
        streams: The streams of the application.
        channels: 1 to 64 channels.
        start: Where a stream begins whose client sends no id.
        expires_in: Seconds, above 0, or a :class:`~datetime.timedelta`, after which the
            stream ends.
        on_leave: Called once with a :class:`~heliograph.hub.Leave` when the client has
            left.
        headers: Names and values to add; in FastAPI those of the parameter
            ``response: Response``, ``headers=response.headers``. Fields that describe the
            stream, such as ``Cache-Control``, stay as they are.
        status_code: 200.
        background: Run when the stream has begun, beside it; and if there is none.

    Raises:
        InvalidFieldError: A channel, ``start`` or ``expires_in`` is not valid.
        TypeError: ``streams`` is no :class:`.EventStreams`, or ``on_leave`` cannot be
            called with one argument.
        ValueError: The status code is another one.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        streams: EventStreams,
        *channels: str,
        start: str | int = "retained",
        expires_in: float | timedelta | None = None,
        on_leave: OnLeave | None = None,
        headers: Headers | None = None,
        status_code: int = _OK,
        background: BackgroundTask | None = None,
    ) -> None:
        # FastAPI passes what a view returns that is no response.
        if not isinstance(streams, EventStreams):
            raise TypeError(
                "the first argument of EventResponse must be the EventStreams of the"
                f" application, not {streams!r}: return EventResponse(streams, channel)"
            )
        if status_code != _OK:
            raise ValueError(
                f"status_code must be 200, not {status_code!r}: no browser takes a stream"
                " with another status"
            )
        # Without Response.__init__, which would set a body and its length.
        self.status_code = status_code
        self.background = background
        self._stream = streams.response(
            *channels,
            start=start,
            expires_in=expires_in,
            on_leave=on_leave,
            headers=headers,
        )
        self.raw_headers = self._stream.fields

    @staticmethod
    def openapi(data: dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
        """
        Return the entry of a stream for ``responses`` of a path operation of FastAPI.

        Args:
            data: The JSON schema of what is in ``data``, such as
                ``Model.model_json_schema()``; :obj:`None` for any text.
        """
        fields = dict(_FIELDS)
        if data is not None:
            fields["data"] = {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": data,
            }
        event = {"type": "object", "properties": fields, "required": ["data"]}
        return {
            200: {
                "description": "A stream of events",
                "content": {EventResponse.media_type: {"itemSchema": event}},
            },
            204: {"description": "All channels have ended: do not reconnect"},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. See the ASGI specification."""
        if self.background is None:
            await self._stream.answer(scope, receive, send, self.raw_headers)
            return
        has_begun = asyncio.Event()

        async def send_noting(message: Message) -> None:
            await send(message)
            has_begun.set()

        background = asyncio.create_task(_after(has_begun, self.background))
        try:
            await self._stream.answer(scope, receive, send_noting, self.raw_headers)
        finally:
            has_begun.set()
            # What it raises is the server's to log, as with every response.
            await background


async def _after(has_begun: asyncio.Event, background: BackgroundTask) -> None:
    await has_begun.wait()
    await background()
