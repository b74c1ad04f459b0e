"""Flask's request as the values on which a stream depends, and refusals as exceptions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

from werkzeug.exceptions import MethodNotAllowed

from flask import abort, request

from ..faces import FIELDS, METHODS, Refusal, StreamRequest, log_refusal, noted_arrival

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Flask

__all__ = [
    "abort_with",
    "check_view",
    "has_hooks",
    "stream_request",
    "with_parents",
]


# Header fields, and what WSGI calls them (PEP 3333).
_KEYS = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in FIELDS}


def stream_request() -> StreamRequest:
    """Return the values of the current request."""
    environ = request.environ
    arrived_at = noted_arrival(environ)
    return StreamRequest(
        method=request.method,
        query_string=request.query_string,
        headers={name: environ[key] for name, key in _KEYS.items() if key in environ},
        address=request.remote_addr,
        arrived_at=time.monotonic_ns() if arrived_at is None else arrived_at,
    )


def check_view() -> None:
    """
    Check that the view of the current request can return a stream.

    Raises:
        RuntimeError: No client could open the stream: the view's rule takes no GET.
    """
    rule = request.url_rule
    if rule is None or not rule.methods or "GET" in rule.methods:
        return
    raise RuntimeError(
        f"the view {rule.endpoint!r} returns stream() to {request.method}: that is the"
        " response to GET, with the channels that the client asks for. To answer with a"
        ' stream of channels that this view chooses, return response("channel"); otherwise'
        f" return stream() from a view of its own, such as @app.get({rule.rule!r}), and"
        " publish from this one"
    )


def has_hooks(app: Flask, blueprints: Iterable[str]) -> bool:
    """
    Return whether a ``before_request`` of blueprints guards their views.

    Args:
        app: The application.
        blueprints: Names of blueprints as they are registered, of which any may guard.
    """
    return any(app.before_request_funcs.get(name) for name in blueprints)


def with_parents(blueprint: str) -> list[str]:
    """
    Return the names of a blueprint and of those that it is nested in.

    Args:
        blueprint: The name with which it is registered, such as ``"api.sse"``.
    """
    parts = blueprint.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


def abort_with(refusal: Refusal) -> NoReturn:
    """
    Abort by the application's own aborter, so that its error handlers see the refusal.

    Args:
        refusal: The decision about the current request.

    Raises:
        HTTPException: Always.
    """
    log_refusal(refusal)
    try:
        abort(refusal.status, description=refusal.text)
    except MethodNotAllowed as error:
        # Only for a rule with methods of its own: the router refuses all others before.
        error.valid_methods = METHODS
        raise
