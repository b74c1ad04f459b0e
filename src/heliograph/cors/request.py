"""
The parts of a request that the CORS protocol reads, and how to find them.

Two readers cover the servers of Python: one for a WSGI ``environ`` (PEP 3333), which
Django hands on under ASGI as well, and one for the header list of an ASGI scope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CorsRequest", "request_from_environ", "request_from_headers"]

# Field name -> attribute of CorsRequest. ASGI sends names in lower case.
_FIELDS = {
    b"host": "host",
    b"origin": "origin",
    b"access-control-request-method": "request_method",
    b"access-control-request-headers": "request_headers",
    b"access-control-request-private-network": "request_private_network",
}


class CorsRequest(NamedTuple):
    """
    A request as the CORS protocol sees it. A function among ``origins`` receives one.

    Text is what the client sent, with its bytes decoded as Latin-1. A field that came
    several times is joined with commas.

    Attributes:
        method: The request method, in the case that was sent.
        path: The decoded path.
        host: The ``Host`` field.
        origin: The ``Origin`` field; :obj:`None` if there is none.
        request_method: ``Access-Control-Request-Method``.
        request_headers: ``Access-Control-Request-Headers``.
        request_private_network: ``Access-Control-Request-Private-Network``.
    """

    method: str
    path: str = "/"
    host: str | None = None
    origin: str | None = None
    request_method: str | None = None
    request_headers: str | None = None
    request_private_network: str | None = None

    @property
    def is_preflight(self) -> bool:
        """
        Whether the browser asks for permission to send another request.

        See Fetch, `CORS-preflight request
        <https://fetch.spec.whatwg.org/#cors-preflight-request>`_. An OPTIONS request
        without ``Access-Control-Request-Method`` is an ordinary one.
        """
        return (
            self.method == "OPTIONS"
            and self.origin is not None
            and self.request_method is not None
        )


def request_from_environ(method: str, path: str, environ: Mapping[str, Any]) -> CorsRequest:
    """
    Read a request from a WSGI environment.

    Args:
        method: The request method.
        path: The decoded path within the application.
        environ: The server's environment. It holds fields as ``HTTP_ORIGIN`` and so on.
    """
    # By position: this runs for every request, and keywords take twice the time.
    return CorsRequest(
        method,
        path,
        environ.get("HTTP_HOST"),
        environ.get("HTTP_ORIGIN"),
        environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD"),
        environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS"),
        environ.get("HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK"),
    )


def request_from_headers(
    method: str, path: str, headers: Iterable[tuple[bytes, bytes]]
) -> CorsRequest:
    """
    Read a request from a list of header fields.

    Args:
        method: The request method. A WebSocket handshake is a GET (RFC 6455 section 4.1).
        path: The decoded path.
        headers: Names in lower case, and values.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        attribute = _FIELDS.get(name)
        if attribute is not None:
            text = value.decode("latin-1")
            # Several fields of one name are one list (RFC 9110 section 5.3). A list is
            # never an origin, so a request with two Origin fields matches no rule.
            before = found.get(attribute)
            found[attribute] = text if before is None else f"{before},{text}"
    return CorsRequest(method, path, **found)
