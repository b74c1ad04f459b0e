"""Flask's request as the values on which a stream depends, and refusals as exceptions."""

from __future__ import annotations

import time
from typing import NoReturn

from werkzeug.exceptions import MethodNotAllowed

from flask import abort, current_app, request

from ..faces import METHODS, Refusal, StreamRequest, noted_arrival

__all__ = ["abort_with", "has_hooks_of_its_own", "stream_request"]


def stream_request() -> StreamRequest:
    """Return the values of the current request."""
    arrived_at = noted_arrival(request.environ)
    return StreamRequest(
        method=request.method,
        query_string=request.query_string,
        headers={name.lower(): value for name, value in request.headers},
        address=request.remote_addr,
        arrived_at=time.monotonic_ns() if arrived_at is None else arrived_at,
    )


def has_hooks_of_its_own() -> bool:
    """Return whether a ``before_request`` of its blueprints guards the current request."""
    hooks = current_app.before_request_funcs
    return any(hooks.get(name) for name in request.blueprints)


def abort_with(refusal: Refusal) -> NoReturn:
    """
    Abort by the application's own aborter, so that its error handlers see the refusal.

    Args:
        refusal: The decision about the current request.

    Raises:
        HTTPException: Always.
    """
    try:
        abort(refusal.status, description=refusal.text)
    except MethodNotAllowed as error:
        # Only for a rule with methods of its own: the router refuses all others before.
        error.valid_methods = METHODS
        raise
