"""The stream with which any view answers, and what is called when its client has left."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from ..faces import Refusal, admission_by_view
from ..faces.access import call_problem
from .request import abort_with, stream_request
from .stream import event_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flask import Flask, Response

    from ..hub import Leave
    from .state import State

__all__ = ["stream_by_view"]

_ON_LEAVE = {"role": "on_leave", "example": "write def on_leave(leave): …"}

_log = logging.getLogger("heliograph.flask")


def stream_by_view(
    state: State,
    channels: Iterable[str],
    *,
    start: object,
    expires_in: object,
    on_leave: Callable[[Leave], Any] | None,
) -> Response:
    """
    Return a stream that a view lets the client of the current request have.

    Args:
        state: Of the application.
        channels: The channels of the stream, 1 to 64.
        start: Where it begins without an id.
        expires_in: When it ends. See :func:`.admission_by_view`.
        on_leave: Called when the client has left. May be ``async def``.

    Raises:
        HTTPException: 400 for an invalid id of the client.
        InvalidFieldError: A channel, their number, ``start`` or ``expires_in`` is not
            valid.
        TypeError: ``on_leave`` cannot be called with one argument.
        RuntimeError: The application has no layer that serves streams.
    """
    problem = None if on_leave is None else call_problem(on_leave, object(), **_ON_LEAVE)
    if problem is not None:
        raise TypeError(problem)
    # First, since it reads the settings.
    _ = state.hub
    admission = admission_by_view(
        stream_request(),
        channels,
        state.settings.hub.channel_patterns,
        start=start,
        expires_in=expires_in,
        is_traced=on_leave is not None,
        now=time.time(),
    )
    if isinstance(admission, Refusal):
        abort_with(admission)
    function = None if on_leave is None else _in_application(state.app, on_leave)
    return event_stream(state, admission, function)


def _in_application(
    app: Flask, function: Callable[[Leave], Any]
) -> Callable[[Leave], None]:
    """Return a function that calls another one in the context of an application."""

    def call(leave: Leave) -> None:
        try:
            with app.app_context():
                app.ensure_sync(function)(leave)
        except Exception:  # noqa: BLE001 - the boundary of a task
            _log.exception("the on_leave function %r of a stream has failed", function)

    return call
