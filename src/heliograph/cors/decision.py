"""
The CORS protocol as a pure decision: a policy and a request in, headers and a status out.

Follows Fetch, `CORS protocol <https://fetch.spec.whatwg.org/#http-cors-protocol>`_.

Two invariants:

* An answer names no origin but one that a rule of the policy allows, or ``*`` without
  credentials. An origin that is not allowed gets no field but ``Vary``.
* A preflight that is refused fails in the browser, which then sends no request and adds
  nothing to its preflight cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .names import NON_WILDCARD, TOKEN
from .origins import is_origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .policy import CorsPolicy, Fields
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
_ALLOW_METHODS = "Access-Control-Allow-Methods"
_ALLOW_HEADERS = "Access-Control-Allow-Headers"

# Fetch accepts any "ok status", 200 to 299, for a preflight ("CORS-preflight fetch").
_NO_CONTENT = 204
# Only after an ok status do browsers compare the method and the names of headers, and tell
# their user which one is not allowed.
_OK = 200
# Fetch, "CORS protocol", "HTTP responses", encourages a server that refuses to use 403.
_FORBIDDEN = 403

# Fetch, "CORS-safelisted method": browsers allow them whatever the answer lists.
_SAFELISTED_METHODS = frozenset({"GET", "HEAD", "POST"})

# A browser lists the few names that a script has set. Longer lists are attacks: 60,000
# commas cost Flask-CORS 6.0.5 51 ms, and rs/cors had an advisory for them.
_MAX_LIST_CHARACTERS = 8_190
_MAX_NAMES = 256
_MAX_NAME_CHARACTERS = 256

# How much of a client's text a message contains.
_SHOWN_CHARACTERS = 80
_SHOWN_NAMES = 5


class Decision(NamedTuple):
    """
    What a policy answers to a request.

    Attributes:
        headers: Names and values to add to the response, each name once. ``Vary`` must be
            merged with the response's own: :func:`missing_vary`.
        status: The status of an answer that needs no application. 204 for a preflight that
            is granted. 200 for a preflight of an allowed origin that is refused because of
            a method or header: it fails in the browser, which then names the two. 403 for
            any other request that is refused. An ordinary request that is refused may be
            answered all the same: the browser does not let the page read the answer.
            :obj:`None` for a request that the application answers.
        preflight: Whether the request asks for permission to send another. It must be
            answered with the status, and must not reach the application.
        reason: Why the request was refused, in one sentence of ASCII; :obj:`None` if it
            was not. Use this, not the status, to find out whether a request is refused.
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


def missing_vary(present: Sequence[str], wanted: str) -> str:
    """
    Return what must be added to the ``Vary`` of a response. RFC 9110 section 12.5.5.

    Args:
        present: The values of the ``Vary`` fields that the response has.
        wanted: The names that it must have, joined by ``", "``.

    Returns:
        Names joined by ``", "``; ``""`` if none is missing.
    """
    if not present:
        return wanted
    # Names of fields are compared without regard to case (RFC 9110 section 5.1).
    found = {name.strip().lower() for value in present for name in value.split(",")}
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
    return _refuse(policy, request, f"the policy's origins do not allow {_shown(origin)}")


def _grant(policy: CorsPolicy, request: CorsRequest, value: str) -> Decision:
    compiled = policy.compiled
    if not request.is_preflight:
        headers = ((ALLOW_ORIGIN, value), *compiled.granted)
        return Decision(headers, None, preflight=False, reason=None)
    method = request.request_method or ""
    is_listed = method in compiled.methods
    if not is_listed and not TOKEN.fullmatch(method):
        return _refuse(policy, request, f"{_shown(method)} is not a method")
    names = _requested(request.request_headers)
    if names is None:
        reason = "Access-Control-Request-Headers is too long, or is not a list of names"
        return _refuse(policy, request, reason)
    # Methods are case-sensitive (RFC 9110 section 9.1). Browsers put only DELETE, GET,
    # HEAD, OPTIONS, POST and PUT in capitals (Fetch, "normalize"): "patch" stays "patch".
    has_method = is_listed or compiled.any_method
    forbidden = [name for name in names if not compiled.headers.allow(name.lower())]
    if forbidden or not has_method:
        allowed = sorted({*names}.difference(forbidden))
        return _name_forbidden(
            policy, value, (method, has_method), allowed=allowed, forbidden=forbidden
        )
    headers = ((ALLOW_ORIGIN, value),)
    if compiled.any_method:
        # Echoed, since with credentials "*" is a method of that name.
        headers += ((_ALLOW_METHODS, method),)
    if names:
        headers += ((_ALLOW_HEADERS, ", ".join(names)),)
    if policy.allow_private_network and request.request_private_network == "true":
        headers += (("Access-Control-Allow-Private-Network", "true"),)
    fields = (*headers, *compiled.preflight_fields)
    return Decision(fields, _NO_CONTENT, preflight=True, reason=None)


def _name_forbidden(
    policy: CorsPolicy,
    value: str,
    method: tuple[str, bool],
    *,
    allowed: list[str],
    forbidden: list[str],
) -> Decision:
    """
    Refuse a preflight of an allowed origin so that the browser names what is not allowed.

    Fetch, `CORS-preflight fetch <https://fetch.spec.whatwg.org/#cors-preflight-fetch>`_,
    compares the method, then the names of headers, and fails before it adds anything to the
    cache. The allowed ones are listed, because the browser names the first that is not.

    Args:
        policy: The policy.
        value: The ``Access-Control-Allow-Origin`` of the answer.
        method: The requested method, and whether the policy allows it.
        allowed: The names of requested headers that the policy allows.
        forbidden: The other requested names.
    """
    name, has_method = method
    headers: Fields = ((ALLOW_ORIGIN, value),)
    if policy.supports_credentials:
        headers += ((ALLOW_CREDENTIALS, "true"),)
    status = _OK
    if has_method:
        headers += ((_ALLOW_METHODS, name),)
    else:
        # Others have to be listed: without a list, browsers allow any method to an
        # XMLHttpRequest whose upload is listened to (Fetch, "use-CORS-preflight flag").
        headers += ((_ALLOW_METHODS, ", ".join(policy.methods)),)
        if not policy.methods or (name in _SAFELISTED_METHODS and not forbidden):
            # After an ok status, nothing would be left that browsers refuse.
            status = _FORBIDDEN
    if allowed:
        headers += ((_ALLOW_HEADERS, ", ".join(allowed)),)
    fields = (*headers, *policy.compiled.preflight_vary)
    reason = _reason(policy, None if has_method else name, forbidden)
    return Decision(fields, status, preflight=True, reason=reason)


def _reason(policy: CorsPolicy, method: str | None, forbidden: list[str]) -> str:
    """
    Return what is not allowed, and what to write if that is not obvious.

    Args:
        policy: The policy.
        method: The requested method; :obj:`None` if it is allowed.
        forbidden: The names of requested headers that are not allowed.
    """
    compiled = policy.compiled
    reasons = []
    if method is not None:
        hint = ""
        if method.upper() in compiled.methods:
            hint = f" (methods are case-sensitive: the page must write {method.upper()!a})"
        reasons.append(f"the policy's methods do not allow {_shown(method)}{hint}")
    if forbidden:
        names = ", ".join(map(_shown, forbidden[:_SHOWN_NAMES]))
        if len(forbidden) > _SHOWN_NAMES:
            names += f" and {len(forbidden) - _SHOWN_NAMES} more"
        hint = ""
        if compiled.headers.any_name and NON_WILDCARD in map(str.lower, forbidden):
            hint = ", which '*' does not cover: name 'Authorization', too"
        reasons.append(f"the policy's allow_headers do not allow {names}{hint}")
    return "; ".join(reasons)


def _refuse(policy: CorsPolicy, request: CorsRequest, reason: str) -> Decision:
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
