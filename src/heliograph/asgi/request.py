"""The scope of an ASGI request as the values on which its stream depends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..faces import FIELDS, StreamRequest
from .arrivals import note_arrival

if TYPE_CHECKING:
    from ..servers.asgi_types import Scope

__all__ = ["stream_request"]

_NAMES = {name.encode(): name for name in FIELDS}
_LISTS = frozenset({"accept", "accept-encoding"})


def stream_request(scope: Scope, *, follows_view: bool = False) -> StreamRequest:
    """
    Return the values of a request.

    Args:
        scope: The scope of a connection of the type ``http``.
        follows_view: See :func:`.note_arrival`.
    """
    client = scope.get("client")
    headers: dict[str, str] = {}
    for octets, value in scope["headers"]:
        name = _NAMES.get(bytes(octets))
        if name is None:
            continue
        text = bytes(value).decode("latin-1")
        if name in _LISTS and name in headers:
            # The lines of a list are one list (RFC 9110 section 5.3), as servers of WSGI
            # have joined them.
            headers[name] += f", {text}"
        # Of any other field that occurs several times the first one counts.
        headers.setdefault(name, text)
    return StreamRequest(
        method=scope["method"],
        query_string=bytes(scope["query_string"]),
        headers=headers,
        address=client[0] if client else None,
        arrived_at=note_arrival(scope, follows_view=follows_view),
    )
