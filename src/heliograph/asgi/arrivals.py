"""When requests arrived, before any middleware of an application looked at them."""

from __future__ import annotations

import time
from typing import Any

from ..channels.asked import ARRIVED
from .around import put_around

__all__ = ["note_arrival"]

# The first request to a stream has passed the middleware before we could note it. It counts
# as one that has taken so long.
_UNKNOWN_NS = 60_000_000_000


class _Arrivals:
    """
    Notes when requests arrive: put around the middleware of an application.

    Args:
        app: What is inside.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope.setdefault(ARRIVED, time.monotonic_ns())
        await self._app(scope, receive, send)


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
