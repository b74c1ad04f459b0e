"""When requests arrived, before any middleware of an application looked at them."""

from __future__ import annotations

import time
from typing import Any

from ..channels.asked import ARRIVED
from .around import Layer, put_around

__all__ = ["note_arrival"]

# Where middleware may have looked at a request before we could note when it arrived, it
# counts as one that has been under way for so long.
_UNKNOWN_NS = 10_000_000_000


class _Arrivals(Layer):
    """Notes when requests arrive: put around the middleware of an application."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            # The outermost router leaves its name. In an application that is mounted in
            # another one, that one's middleware has been first.
            is_mounted = "router" in scope
            earlier = _UNKNOWN_NS if is_mounted else 0
            scope.setdefault(ARRIVED, time.monotonic_ns() - earlier)
        await self.inner(scope, receive, send)


def note_arrival(scope: Any) -> int:
    """
    Return when a request has arrived, as far as that is to be seen.

    Args:
        scope: Of the request, where a stream is asked for.

    Returns:
        A moment of :func:`time.monotonic_ns`, at the latest that in which a middleware of
        the Starlette application first saw the request. Without such an application it
        is now, unless middleware has noted it in the scope.
    """
    arrived_at = scope.get(ARRIVED)
    if isinstance(arrived_at, int):
        return arrived_at
    now = time.monotonic_ns()
    return now - _UNKNOWN_NS if put_around(scope, _Arrivals) else now
