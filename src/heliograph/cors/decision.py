"""
The CORS protocol as a pure decision: a policy and a request in, headers and a status out.

Follows Fetch, `CORS protocol <https://fetch.spec.whatwg.org/#http-cors-protocol>`_.

The invariant: an answer that grants anything names the origin that a rule of the policy
allows, or ``*`` without credentials; an answer that refuses has no field but ``Vary``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .names import NON_WILDCARD, TOKEN
from .origins import is_origin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .policy import CorsPolicy
    from .request import CorsRequest

__all__ = [
    "ALLOW_CREDENTIALS",
    "ALLOW_ORIGIN",
    "Decision",
    "decide",
    "decide_async",
    "missing_vary",
]

ALLOW_ORIGIN = "Access-Control-Allow-Origin"
ALLOW_CREDENTIALS = "Access-Control-Allow-Credentials"

# Fetch accepts any "ok status", 200 to 299, for a preflight ("CORS-preflight fetch").
_NO_CONTENT = 204
# Fetch, "CORS protocol", "HTTP responses", encourages a server that refuses to use 403.
_FORBIDDEN = 403

# A browser lists the few names that a script has set. Longer lists are attacks: 60,000
# commas cost Flask-CORS 6.0.5 51 ms, and rs/cors had an advisory for them.
_MAX_LIST_CHARACTERS = 8_190
_MAX_NAMES = 256
_MAX_NAME_CHARACTERS = 256

# How much of a client's text a message contains.
_SHOWN_CHARACTERS = 80


class Decision(NamedTuple):
    """
    What a policy answers to a request.

    Attributes:
        headers: Names and values to add to the response, each name once. ``Vary`` must be
            merged with the response's own: :func:`missing_vary`.
        status: The status of an answer that needs no application: 204 for a preflight that
            is granted, 403 for a request that is refused. An ordinary request that is
            refused may be answered all the same: the browser does not let the page read
            the answer. :obj:`None` for a request that the application answers.
        preflight: Whether the request asks for permission to send another. It must be
            answered with the status, and must not reach the application.
        reason: Why the request was refused, in one sentence of ASCII; :obj:`None` if it
            was not.
    """

    headers: tuple[tuple[str, str], ...]
    status: int | None
    preflight: bool
    reason: str | None


def decide(policy: CorsPolicy, request: CorsRequest) -> Decision:
    """
    Decide what a page of another origin may do and read.

    Args:
        policy: Who may do what.
        request: What the client sent, however malformed.

    Returns:
        The decision. It depends on nothing else, unless a function among the policy's
        origins does.

    Raises:
        TypeError: A function among the origins is async, or returned no bool.
        Exception: What such a function raises.
    """
    known = _without_asking(policy, request)
    if known is not None:
        return known
    assert request.origin is not None  # noqa: S101 - functions are only asked about origins
    allowed = policy.compiled.origins.ask(request.origin, request)
    return _grant_or_refuse(policy, request, request.origin, allowed=allowed)


async def decide_async(policy: CorsPolicy, request: CorsRequest) -> Decision:
    """
    Decide like :func:`decide`, with functions among the origins that may be async.

    Cancelling leaves nothing behind.

    Args:
        policy: Who may do what.
        request: What the client sent.

    Returns:
        The decision.

    Raises:
        TypeError: A function among the origins returned no bool.
        Exception: What such a function raises.
    """
    known = _without_asking(policy, request)
    if known is not None:
        return known
    assert request.origin is not None  # noqa: S101 - as above
    allowed = await policy.compiled.origins.ask_async(request.origin, request)
    return _grant_or_refuse(policy, request, request.origin, allowed=allowed)


def missing_vary(present: Iterable[str], wanted: str) -> str:
    """
    Return what must be added to the ``Vary`` of a response. RFC 9110 section 12.5.5.

    Args:
        present: The values of the ``Vary`` fields that the response has.
        wanted: The names that it must have, joined by ``", "``.

    Returns:
        Names joined by ``", "``; ``""`` if none is missing.
    """
    # Names of fields are compared without regard to case (RFC 9110 section 5.1).
    found = {name.strip().lower() for value in present for name in value.split(",")}
    if not found:
        return wanted
    if "*" in found:
        return ""
    return ", ".join(name for name in wanted.split(", ") if name.lower() not in found)


def _without_asking(policy: CorsPolicy, request: CorsRequest) -> Decision | None:
    """Decide without calling a function of the policy; None if one must be called."""
    compiled = policy.compiled
    origins = compiled.origins
    origin = request.origin
    if origin is None:
        return _without_origin(policy)
    if compiled.is_open:
        # "*" covers whatever was sent, but only an origin is echoed: a line end or an
        # escape sequence in this field must not come back in a response.
        value = "*" if policy.send_wildcard or not is_origin(origin) else origin
        return _grant(policy, request, value)
    # Byte for byte, as the browser compares (Fetch, "CORS check").
    if origin in origins.exact:
        return _grant(policy, request, origin)
    if origin == "null":
        return _grant_or_refuse(policy, request, origin, allowed=origins.null)
    if not is_origin(origin):
        return _refuse(policy, request, f"{_shown(origin)} is not an origin")
    if origins.any_origin or origins.matches(origin):
        return _grant(policy, request, origin)
    if origins.functions:
        return None
    return _grant_or_refuse(policy, request, origin, allowed=False)


def _without_origin(policy: CorsPolicy) -> Decision:
    # Fetch, "CORS protocol and HTTP caches": what is the same for everyone is also sent to
    # a request without Origin, or a cache would give a page an answer that it cannot read.
    compiled = policy.compiled
    value = compiled.for_all
    if value is None and compiled.is_open:
        value = "*"
    if value is None or not policy.always_send:
        return Decision(compiled.vary, None, preflight=False, reason=None)
    headers = ((ALLOW_ORIGIN, value), *compiled.granted)
    return Decision(headers, None, preflight=False, reason=None)


def _grant_or_refuse(
    policy: CorsPolicy, request: CorsRequest, origin: str, *, allowed: bool
) -> Decision:
    if allowed:
        return _grant(policy, request, origin)
    return _refuse(
        policy, request, f"the policy does not allow the origin {_shown(origin)}"
    )


def _grant(policy: CorsPolicy, request: CorsRequest, value: str) -> Decision:
    compiled = policy.compiled
    if not request.is_preflight:
        headers = ((ALLOW_ORIGIN, value), *compiled.granted)
        return Decision(headers, None, preflight=False, reason=None)
    headers = ((ALLOW_ORIGIN, value),)
    method = request.request_method or ""
    # Methods are case-sensitive (RFC 9110 section 9.1). Browsers put only DELETE, GET,
    # HEAD, OPTIONS, POST and PUT in capitals (Fetch, "normalize"): "patch" stays "patch".
    if compiled.any_method and TOKEN.fullmatch(method):
        # Echoed, since with credentials "*" is a method of that name.
        headers += (("Access-Control-Allow-Methods", method),)
    elif method not in compiled.methods:
        return _refuse(policy, request, f"the policy does not allow {_shown(method)}")
    names = _requested(request.request_headers)
    if names is None:
        return _refuse(
            policy,
            request,
            "Access-Control-Request-Headers is too long, or is not a list of names",
        )
    for name in names:
        if not compiled.headers.allow(name.lower()):
            hint = ", which '*' does not cover" if name.lower() == NON_WILDCARD else ""
            return _refuse(
                policy,
                request,
                f"the policy does not allow the header {_shown(name)}{hint}",
            )
    if names:
        headers += (("Access-Control-Allow-Headers", ", ".join(names)),)
    if policy.allow_private_network and request.request_private_network == "true":
        headers += (("Access-Control-Allow-Private-Network", "true"),)
    fields = (*headers, *compiled.preflight_fields)
    return Decision(fields, _NO_CONTENT, preflight=True, reason=None)


def _refuse(policy: CorsPolicy, request: CorsRequest, reason: str) -> Decision:
    # A refused preflight grants nothing, not even what it asked for in part and could
    # have: the browser would cache that (Fetch, "CORS-preflight cache").
    preflight = request.is_preflight
    headers = policy.compiled.preflight_vary if preflight else policy.compiled.vary
    return Decision(headers, _FORBIDDEN, preflight, reason)


def _requested(value: str | None) -> list[str] | None:
    """Return the names of the headers asked for; None if the list must not be read."""
    if value is None:
        return []
    if len(value) > _MAX_LIST_CHARACTERS:
        return None
    # Browsers send names in lower case, sorted, joined by "," alone (Fetch,
    # "CORS-unsafe request-header names"). Proxies may split a field and join it again;
    # empty elements mean nothing (RFC 9110 section 5.6.1).
    names = sorted({name for part in value.split(",") if (name := part.strip(" \t"))})
    if len(names) > _MAX_NAMES or max(map(len, names), default=0) > _MAX_NAME_CHARACTERS:
        return None
    if not all(map(TOKEN.fullmatch, names)):
        return None
    return names


def _shown(text: str) -> str:
    if len(text) > _SHOWN_CHARACTERS:
        return f"{text[:_SHOWN_CHARACTERS]!a} and {len(text) - _SHOWN_CHARACTERS} more"
    return ascii(text)
