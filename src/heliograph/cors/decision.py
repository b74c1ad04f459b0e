"""
The CORS protocol as a pure decision: a policy and a request in, headers and a status out.

The invariant: an answer that grants anything names the origin that a rule of the policy
allows, or ``*`` without credentials; an answer that refuses names nothing but ``Vary``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .origins import is_origin
from .policy import NON_WILDCARD, TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .policy import CorsPolicy
    from .request import CorsRequest

__all__ = ["ALLOW_ORIGIN", "Decision", "decide", "decide_async", "missing_vary"]

ALLOW_ORIGIN = "Access-Control-Allow-Origin"

_NO_CONTENT = 204
_FORBIDDEN = 403

# A browser lists the few names that a script has set. More is an attack, and is not read.
_MAX_LIST_CHARACTERS = 8_190
_MAX_NAMES = 256
_MAX_NAME_CHARACTERS = 256

# What of a client's text a message shows.
_SHOWN_CHARACTERS = 80


class Decision(NamedTuple):
    """
    What a policy says to a request.

    Attributes:
        headers: Names and values to add to the response, each name once. ``Vary`` is to be
            merged with what the response has: :func:`missing_vary`.
        status: The status of an answer that needs no application: 204 for a preflight that
            is granted, 403 for what is refused. An ordinary request that is refused
            may be answered all the same: the browser does not let the page read it.
            :obj:`None` for a request that the application answers.
        preflight: Whether the request asks for leave to send another. It is to be
            answered with the status, and never reaches the application.
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

    Follows Fetch, `CORS protocol <https://fetch.spec.whatwg.org/#http-cors-protocol>`_.

    Args:
        policy: Who may do what.
        request: What the client sent, however malformed.

    Returns:
        The decision. It does not depend on anything else, unless a function among the
        policy's origins does.

    Raises:
        TypeError: A function among the origins is async, or returned no bool.
        Exception: What such a function raises.
    """
    known = _without_asking(policy, request)
    if known is not None:
        return known
    assert request.origin is not None  # noqa: S101 - nothing is asked about nobody
    allowed = policy.compiled.origins.ask(request.origin, request)
    return _grant_or_refuse(policy, request, request.origin, allowed=allowed)


async def decide_async(policy: CorsPolicy, request: CorsRequest) -> Decision:
    """
    Do the same as :func:`decide`, with functions among the origins that may be async.

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
    Give what has to be added to the ``Vary`` of a response. RFC 9110 section 12.5.5.

    Args:
        present: The values of the ``Vary`` fields that the response has.
        wanted: Names that it has to have, joined by ``", "``.

    Returns:
        Names joined by ``", "``; ``""`` if none is missing.
    """
    found = {name.strip().lower() for value in present for name in value.split(",")}
    if not found:
        return wanted
    if "*" in found:
        return ""
    return ", ".join(name for name in wanted.split(", ") if name.lower() not in found)


def _without_asking(policy: CorsPolicy, request: CorsRequest) -> Decision | None:
    """Decide, unless it takes a function of the policy's to tell."""
    compiled = policy.compiled
    origins = compiled.origins
    origin = request.origin
    if origin is None:
        return _for_nobody(policy)
    if origins.any_origin and not policy.supports_credentials:
        # Whatever it is that was sent, "*" covers it; but only an origin is sent back.
        value = "*" if policy.send_wildcard or not is_origin(origin) else origin
        return _grant(policy, request, value)
    if origin in origins.exact:
        return _grant(policy, request, origin)
    if origin == "null":
        return _grant_or_refuse(policy, request, origin, allowed=origins.null)
    if not is_origin(origin):
        return _refuse(policy, request, f"{_shown(origin)} is no origin")
    if origins.any_origin or origins.matches(origin):
        return _grant(policy, request, origin)
    if origins.functions:
        return None
    return _grant_or_refuse(policy, request, origin, allowed=False)


def _for_nobody(policy: CorsPolicy) -> Decision:
    compiled = policy.compiled
    if not policy.always_send:
        return Decision(compiled.vary, None, preflight=False, reason=None)
    if compiled.for_all is not None:
        headers = ((ALLOW_ORIGIN, compiled.for_all), *compiled.granted)
        return Decision(headers, None, preflight=False, reason=None)
    if compiled.origins.any_origin and not policy.supports_credentials:
        headers = ((ALLOW_ORIGIN, "*"), *compiled.granted)
        return Decision(headers, None, preflight=False, reason=None)
    return Decision(compiled.vary, None, preflight=False, reason=None)


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
    if compiled.any_method and TOKEN.fullmatch(method):
        headers += (("Access-Control-Allow-Methods", method),)
    elif method not in compiled.methods:
        return _refuse(policy, request, f"the policy does not allow {_shown(method)}")
    names = _requested(request.request_headers)
    if names is None:
        return _refuse(
            policy, request, "Access-Control-Request-Headers is too long, or no list"
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
    return Decision((*headers, *compiled.leave), _NO_CONTENT, preflight=True, reason=None)


def _refuse(policy: CorsPolicy, request: CorsRequest, reason: str) -> Decision:
    preflight = request.is_preflight
    headers = policy.compiled.preflight_vary if preflight else policy.compiled.vary
    return Decision(headers, _FORBIDDEN, preflight, reason)


def _requested(value: str | None) -> list[str] | None:
    """Give the names of headers that are asked for, or None if they are not to be read."""
    if value is None:
        return []
    if len(value) > _MAX_LIST_CHARACTERS:
        return None
    # Proxies may split a field and join it again; an empty element means nothing (RFC 9110
    # section 5.6.1).
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
