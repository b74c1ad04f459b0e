"""
Which pages may open a WebSocket.

A WebSocket handshake is not subject to CORS: the browser sends it to any server, with the
visitor's cookies, and lets the page use the connection. Only the server can refuse, by the
``Origin`` field (RFC 6455 section 10.2). The rules are those of the policy, and two more:

* A page of the server itself may always connect. Browsers send ``Origin`` with every
  handshake (RFC 6455 section 4.1, item 8).
* A handshake with credentials needs a rule that could be used with credentials.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import CorsConfigError
from .decision import decide_async
from .origins import is_origin
from .policy import CorsPolicy

if TYPE_CHECKING:
    from .request import CorsRequest

__all__ = ["HandshakePolicy", "is_own_page"]

# Naming is enough for a handshake, also without supports_credentials.
_NAME_IT = "; name the page's origin in origins"
_CREDENTIALS = "credentials (Cookie or Authorization)"

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class HandshakePolicy:
    """
    A policy as it applies to WebSocket handshakes.

    Args:
        policy: The policy for all requests.
    """

    def __init__(self, policy: CorsPolicy) -> None:
        self._policy = policy
        self._trusted = _trusted_with_credentials(policy)

    async def refusal(
        self, request: CorsRequest, *, scheme: str, has_credentials: bool
    ) -> str | None:
        """
        Return why a handshake is refused.

        Args:
            request: The handshake.
            scheme: The scheme of the connection that the server sees: ``ws`` or ``wss``.
            has_credentials: Whether it carries ``Cookie`` or ``Authorization``.

        Returns:
            The reason, in one sentence of ASCII; :obj:`None` if the handshake is allowed.

        Raises:
            TypeError: A function among the origins returned no bool.
            Exception: What such a function raises.
        """
        if request.origin is None or is_own_page(request, scheme):
            return None
        if not has_credentials:
            return (await decide_async(self._policy, request)).reason
        if self._trusted is None:
            return f"no origins of the policy allow {_CREDENTIALS}{_NAME_IT}"
        reason = (await decide_async(self._trusted, request)).reason
        # Another rule of the policy may allow this origin without credentials.
        is_partial = len(self._trusted.origins) < len(self._policy.origins)
        if reason is not None and is_partial:
            if request.origin == "null":
                return f"{reason} with {_CREDENTIALS}"
            if is_origin(request.origin):
                return f"{reason} with {_CREDENTIALS}{_NAME_IT}"
        return reason


def is_own_page(request: CorsRequest, scheme: str) -> bool:
    """
    Return whether a request comes from a page of the server itself.

    Args:
        request: The request. Its origin is compared with its ``Host``.
        scheme: The scheme of the connection that the server sees: ``ws`` or ``wss``.
    """
    page_scheme, _, authority = (request.origin or "").partition("://")
    default_port = _DEFAULT_PORTS.get(page_scheme)
    # A proxy in front may end TLS, so "ws" does not rule out an "https" page. A server that
    # ends TLS itself has no "http" pages: somebody on the way may have forged one.
    if default_port is None or (scheme == "wss" and page_scheme != "https"):
        return False
    # Host names are compared without regard to case (RFC 3986 section 3.2.2); an origin is
    # in lower case already, and has no default port (HTML section 7.1.1).
    host = (request.host or "").lower().removesuffix(default_port)
    return bool(host) and authority == host


def _trusted_with_credentials(policy: CorsPolicy) -> CorsPolicy | None:
    """Return a policy of the rules that may be used with credentials; None if none may."""
    if policy.supports_credentials:
        return policy
    trusted = []
    for rule in policy.origins:
        try:
            CorsPolicy(origins=rule, supports_credentials=True)
        except CorsConfigError:
            continue
        trusted.append(rule)
    return CorsPolicy(origins=trusted, supports_credentials=True) if trusted else None
