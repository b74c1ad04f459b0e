"""The scope of an ASGI request as the values on which its stream depends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..faces import StreamRequest
from .arrivals import note_arrival

if TYPE_CHECKING:
    from ..servers.asgi_types import Scope

__all__ = ["stream_request"]


def stream_request(scope: Scope) -> StreamRequest:
    """
    Return the values of a request.

    Args:
        scope: The scope of a connection of the type ``http``.
    """
    client = scope.get("client")
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        # Of a field that occurs several times the first one counts.
        headers.setdefault(bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
    return StreamRequest(
        method=scope["method"],
        query_string=scope["query_string"],
        headers=headers,
        address=client[0] if client else None,
        arrived_at=note_arrival(scope),
    )
