"""
When a request arrived, as middleware has noted it.

A permission that is withdrawn while an application looks at a request may still have let
the client in. So every face notes the arrival as far outside of the application as it can,
and streams of channels that were disconnected since then end as they begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ARRIVED", "noted_arrival"]

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
