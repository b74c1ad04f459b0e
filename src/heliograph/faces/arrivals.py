"""
When a request arrived, as middleware has noted it.

A permission that is withdrawn while an application authorises a request may still have
admitted the client. So every face notes the arrival as far outside of the application as it
can, and streams of channels that were disconnected since then end as they begin.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["ARRIVED", "Arrivals", "noted_arrival"]

ARRIVED = "heliograph.arrived"
"""
The key of a request's environment (WSGI) or scope (ASGI) that holds its arrival.

The value is a result of :func:`time.monotonic_ns`. Middleware that decides who may listen,
and that runs before Heliograph sees the request, sets it before it decides.
"""


def noted_arrival(environ: Mapping[str, Any]) -> int | None:
    """
    Return the arrival that middleware has noted.

    Args:
        environ: The environment (WSGI) or scope (ASGI) of a request.

    Returns:
        A result of :func:`time.monotonic_ns`; :obj:`None` if nothing valid was noted.
    """
    arrived_at = environ.get(ARRIVED)
    return arrived_at if isinstance(arrived_at, int) else None


class Arrivals:
    """
    WSGI middleware that notes when requests arrive.

    A face puts it around the application, so that it runs before sessions, hooks and
    authorizers.

    Args:
        application: The WSGI application.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve a request. See PEP 3333."""
        # Middleware further out may have noted an earlier arrival.
        environ.setdefault(ARRIVED, time.monotonic_ns())
        return self._application(environ, start_response)
