"""
CORS for ASGI applications: Starlette, FastAPI, Quart, or plain ones.

Strategy: headers are added where the first of us stands, to whatever is sent through it.
Others that stand further in only say what the headers are, so the innermost decides, and
what is outside of it (a framework's answer to an exception) is covered all the same.

Needs the standard library only.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from ..cors import CorsPolicy, CorsRequest, Decision, decide_async, missing_vary
from ..cors.decision import ALLOW_ORIGIN
from ..errors import CorsConfigError
from .around import Layer, put_around
from .messages import body, start

__all__ = ["CORSMiddleware"]

_log = logging.getLogger("heliograph.cors")

# Frameworks type these in ways that do not go together: asgiref's dicts are no mappings of
# Starlette's.
_App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
_Headers: TypeAlias = list[tuple[bytes, bytes]]

_ALLOW_ORIGIN = ALLOW_ORIGIN.lower().encode()
_CREDENTIALS_HEADER = b"access-control-allow-credentials"
_POLICY_VIOLATION = 1008

# Where a scope holds the response of the first of us that it came to.
_SCOPE_KEY = "heliograph.cors"

# Field -> attribute of CorsRequest. ASGI has names in lower case.
_FIELDS = {
    b"host": "host",
    b"origin": "origin",
    b"access-control-request-method": "request_method",
    b"access-control-request-headers": "request_headers",
    b"access-control-request-private-network": "request_private_network",
}
_CREDENTIALS = frozenset({b"cookie", b"authorization"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class CORSMiddleware:
    """
    Lets pages of other origins use an ASGI application.

    Preflights are answered before the application sees them, and its answers get the
    headers, that to an unhandled exception too. Of several the outermost answers
    preflights, and the innermost decides on everything else.

    A WebSocket handshake is let through if it comes from a page of the server itself, or
    of an origin that the policy allows; and from who is no page. It may carry the visitor's
    cookies whatever the policy says; so if it does, and the policy has no
    ``supports_credentials``, only rules count that could be trusted with them: not
    ``"*"``, ``"null"``, or expressions that may end in any name.

    ``app = CORSMiddleware(app, policy)``, or with Starlette and FastAPI
    ``app.add_middleware(CORSMiddleware, policy=policy)``.

    Args:
        app: The application.
        policy: Who may do what. Its functions may be async.

    Raises:
        TypeError: The policy is none.
    """

    def __init__(self, app: _App, policy: CorsPolicy) -> None:
        if not isinstance(policy, CorsPolicy):
            raise TypeError(
                f"policy: {policy!r} is no CorsPolicy; write CorsPolicy(origins=…)"
            )
        self._app = app
        self._policy = policy
        self._trusted = _trusted_with_credentials(policy)
        self._is_open = (
            policy.compiled.origins.any_origin and not policy.supports_credentials
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a connection. See the ASGI specification."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            put_around(scope, _Around)
            await self._app(scope, receive, send)

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        request = _request(scope)
        decision = await decide_async(self._policy, request)
        if decision.reason is not None:
            _log.debug("refused %s %a: %s", request.method, request.path, decision.reason)
        if decision.preflight:
            await _answer(send, decision)
            return
        response = scope.get(_SCOPE_KEY)
        if response is not None:
            response.decision, response.is_open = decision, self._is_open
            await self._app(scope, receive, send)
            return
        put_around(scope, _Around)
        response = _Response(send, decision, is_get=request.method == "GET")
        response.is_open = self._is_open
        # Inside of a framework it is the framework that answers to exceptions.
        await response.run(self._app, scope, receive, is_outermost="app" not in scope)

    async def _websocket(self, scope: Any, receive: Any, send: Any) -> None:
        request = _request(scope)
        if request.origin is not None and not _is_own(request, scope.get("scheme", "ws")):
            reason = await self._refused_handshake(scope, request)
            if reason is not None:
                _log.debug("refused a WebSocket at %a: %s", request.path, reason)
                await receive()
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
                return
        await self._app(scope, receive, send)

    async def _refused_handshake(self, scope: Any, request: CorsRequest) -> str | None:
        if not any(name in _CREDENTIALS for name, _ in scope["headers"]):
            return (await decide_async(self._policy, request)).reason
        if self._trusted is None:
            return "it has credentials, and no rule could be trusted with them"
        return (await decide_async(self._trusted, request)).reason


class _Response:
    """
    What is sent through the first of us, with the headers of a decision.

    Attributes:
        decision: Of the innermost of us; :obj:`None` as long as there is none.
        is_open: Whether its policy lets everyone in, without credentials.
    """

    def __init__(self, send: Any, decision: Decision | None, *, is_get: bool) -> None:
        self.decision = decision
        self.is_open = False
        self._is_started = False
        self._is_refused = False
        self._send = send
        self._is_get = is_get

    async def run(self, app: _App, scope: Any, receive: Any, *, is_outermost: bool) -> None:
        try:
            await app({**scope, _SCOPE_KEY: self}, receive, self.send)
        except Exception as error:
            if self._is_refused and _comes_of_refusal(error):
                _log.debug("the application ended with %r", error)
                return
            if is_outermost and not self._is_started:
                await _send_text(self.send, 500, "Internal Server Error")
            raise

    async def send(self, message: Any) -> None:
        if self._is_refused:
            raise _RefusedError("the stream was refused")
        decision = self.decision
        if message["type"] == "http.response.start" and decision is not None:
            headers: _Headers = list(message.get("headers", ()))
            if self._is_get and decision.reason is not None and _is_stream(headers):
                # Nobody would read it, and it would hold its place for as long as the
                # client likes. Only a GET: others have an Origin on pages of our own, too.
                self._is_refused = self._is_started = True
                await _answer(self._send, decision)
                raise _RefusedError("the stream was refused")
            if self.is_open and any(n.lower() == _CREDENTIALS_HEADER for n, _ in headers):
                # Not its own origin to everyone, with credentials that others allow.
                decision = _with_star(decision)
            message = {**message, "headers": _merged(headers, decision)}
        self._is_started = True
        await self._send(message)


class _RefusedError(OSError):
    """What ``send`` raises after a stream was refused: as if its client had gone."""


class _Around(Layer):
    """
    The middleware of an application of Starlette's, with us around it.

    Starlette puts what answers to unhandled exceptions outside of all other middleware.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or _SCOPE_KEY in scope:
            await self.inner(scope, receive, send)
            return
        response = _Response(send, None, is_get=scope["method"] == "GET")
        await response.run(self.inner, scope, receive, is_outermost=False)


def _trusted_with_credentials(policy: CorsPolicy) -> CorsPolicy | None:
    """Give the policy of those rules only that may have credentials, if there are any."""
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


def _comes_of_refusal(error: BaseException | None) -> bool:
    """Tell whether an exception is what ``send`` raised, or was raised because of it."""
    while error is not None:
        if isinstance(error, _RefusedError):
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(map(_comes_of_refusal, error.exceptions))
        error = error.__cause__ or error.__context__
    return False


def _request(scope: Any) -> CorsRequest:
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        attribute = _FIELDS.get(name)
        if attribute is not None:
            text = value.decode("latin-1")
            # Fields of one name are a list (RFC 9110 section 5.3), and no list is an
            # origin.
            before = found.get(attribute)
            found[attribute] = text if before is None else f"{before},{text}"
    # A handshake is a GET.
    return CorsRequest(scope.get("method", "GET"), scope["path"], **found)


def _is_own(request: CorsRequest, server_scheme: str) -> bool:
    """Tell whether a page is the server's own: a browser says so for a WebSocket."""
    scheme, _, authority = (request.origin or "").partition("://")
    default_port = _DEFAULT_PORTS.get(scheme)
    # TLS may end in a proxy, which is not to be seen; where it ends here, it has to be.
    if default_port is None or (server_scheme == "wss" and scheme != "https"):
        return False
    host = (request.host or "").lower().removesuffix(default_port)
    return bool(host) and authority == host


def _with_star(decision: Decision) -> Decision:
    headers = dict(decision.headers)
    if ALLOW_ORIGIN in headers:
        headers[ALLOW_ORIGIN] = "*"
    return decision._replace(headers=tuple(headers.items()))


def _is_stream(headers: _Headers) -> bool:
    return any(
        name.lower() == b"content-type"
        and value.partition(b";")[0].strip().lower() == b"text/event-stream"
        for name, value in headers
    )


def _merged(headers: _Headers, decision: Decision) -> _Headers:
    if any(name.lower() == _ALLOW_ORIGIN for name, _ in headers):
        return headers
    for name, value in decision.headers:
        if name == "Vary":
            present = [v.decode("latin-1") for n, v in headers if n.lower() == b"vary"]
            value = missing_vary(present, value)  # noqa: PLW2901 - the rest of it
        if value:
            headers.append((name.lower().encode(), value.encode()))
    return headers


async def _answer(send: Any, decision: Decision) -> None:
    assert decision.status is not None  # noqa: S101 - what we answer has one
    text = "" if decision.reason is None else f"{decision.reason}\n"
    await _send_text(send, decision.status, text, decision)


async def _send_text(
    send: Any, status: int, text: str, decision: Decision | None = None
) -> None:
    data = text.encode()
    headers: _Headers = []
    if data:
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
        headers.append((b"content-length", b"%d" % len(data)))
    if decision is not None:
        headers = _merged(headers, decision)
    await send(start(status, headers))
    await send(body(data, more=False))
