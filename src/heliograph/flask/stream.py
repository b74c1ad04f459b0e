"""
The Flask response that is a stream.

It is an ordinary response, of whatever class the application makes of it, and hooks see it
as one whose body is streamed. The layer around the application serves the stream when all
hooks have run (:mod:`heliograph.faces.stream_layer`): so cookies and the headers of
``after_request`` are in the head that is sent.
"""

from __future__ import annotations

from types import GeneratorType
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response as BaseResponse
from werkzeug.wsgi import ClosingIterator

from flask import Response, request

from ..faces.stream_layer import StreamOffer, offer_stream
from .state import ADVICE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..faces import Admission
    from ..hub import Leave
    from .state import State

__all__ = ["event_stream"]


def event_stream(
    state: State,
    admission: Admission,
    on_leave: Callable[[Leave], None] | None = None,
) -> Response:
    """
    Return the response to the current request: a stream of events.

    Args:
        state: Of the application.
        admission: The stream that the client may open.
        on_leave: See :class:`.StreamOffer`.

    Raises:
        RuntimeError: The application has no layer that serves streams.
    """
    offer = StreamOffer(
        hub=state.hub,
        admission=admission,
        may_take_over=state.settings.take_over,
        advice=ADVICE,
        has_callbacks=_has_callbacks,
        on_leave=on_leave,
    )
    try:
        headers = offer_stream(request.environ, offer)
    except LookupError:
        raise RuntimeError(f"{state.app!r} serves no streams: {_remedy(state)}") from None
    # Not of app.response_class: its constructor may expect a body that is a str.
    return Response(_NoBytes(), headers=headers)


def _remedy(state: State) -> str:
    if state.serves_streams:
        return (
            "its server calls an app.wsgi_app from before the blueprint was registered;"
            " register it first, app.register_blueprint(sse, url_prefix=…), and wrap"
            " app.wsgi_app after that"
        )
    return (
        "register the blueprint with it before the first request,"
        " app.register_blueprint(sse, url_prefix=…)"
    )


def _has_callbacks(body: object) -> bool:
    """
    Return whether something may happen when a body is closed.

    Args:
        body: What an application has returned. If it does not look as Werkzeug makes it of
            a response, something may.
    """
    callbacks = getattr(body, "_callbacks", None)
    if type(body) is not ClosingIterator or not isinstance(callbacks, list):
        return True
    return not all(_does_nothing(getattr(each, "__self__", None)) for each in callbacks)


def _does_nothing(closed: object) -> bool:
    if isinstance(closed, BaseResponse) and type(closed).close is BaseResponse.close:
        # The list of call_on_close.
        has_functions = getattr(closed, "_on_close", True)
        return not has_functions and isinstance(closed.response, _NoBytes)
    return isinstance(closed, GeneratorType)  # encodes a body, and was not begun


class _NoBytes:
    """
    The body that hooks see: an iterator, so that it counts as streamed, without bytes.

    A body that does not end would hold up each hook that reads it: one that computes a
    digest, or logs what is sent.
    """

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        raise StopIteration
