"""When requests arrived, before any middleware of an application looked at them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..faces import ARRIVED, noted_arrival
from .around import Layer, put_around, starlette_app

if TYPE_CHECKING:
    from ..servers.asgi_types import Receive, Scope, Send

__all__ = ["note_arrival"]

# Where middleware may have looked at a request before its arrival could be noted, the
# request counts as one that arrived so long ago.
_UNKNOWN_NS = 10_000_000_000


class _Arrivals(Layer):
    """Notes when requests arrive: put around the middleware of an application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # The outermost router leaves its name. In an application that is mounted in
            # another one, that one's middleware has run before.
            is_mounted = "router" in scope
            earlier = _UNKNOWN_NS if is_mounted else 0
            scope.setdefault(ARRIVED, time.monotonic_ns() - earlier)
        await self.app(scope, receive, send)


def note_arrival(scope: Scope, *, follows_view: bool = False) -> int:
    """
    Return when a request arrived, and have the arrivals of later ones noted.

    Args:
        scope: The scope of the request, where a stream is asked for.
        follows_view: Whether a view has decided before about the request.

    Returns:
        A result of :func:`time.monotonic_ns`, at the latest that at which a middleware of
        the Starlette application first saw the request. Without such an application it is
        the current time, or one that is early enough for a view, unless middleware has
        noted the arrival in the scope.
    """
    arrived_at = noted_arrival(scope)
    if arrived_at is not None:
        return arrived_at
    now = time.monotonic_ns()
    app = starlette_app(scope)
    if app is None:
        return now - _UNKNOWN_NS if follows_view else now
    put_around(app, _Arrivals)
    return now - _UNKNOWN_NS
