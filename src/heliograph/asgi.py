"""
CORS for ASGI applications: Starlette, FastAPI, Quart, or plain ones.

Needs the standard library only.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from .cors import CorsPolicy, CorsRequest, Decision, decide_async, missing_vary
from .cors.decision import ALLOW_ORIGIN

__all__ = ["CORSMiddleware"]

_log = logging.getLogger("heliograph.cors")

_Scope: TypeAlias = MutableMapping[str, Any]
_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_App: TypeAlias = Callable[[_Scope, _Receive, _Send], Awaitable[None]]
_Headers: TypeAlias = list[tuple[bytes, bytes]]

_ALLOW_ORIGIN = ALLOW_ORIGIN.lower().encode()
_POLICY_VIOLATION = 1008

# Field -> attribute of CorsRequest. ASGI has names in lower case.
_FIELDS = {
    b"host": "host",
    b"origin": "origin",
    b"access-control-request-method": "request_method",
    b"access-control-request-headers": "request_headers",
    b"access-control-request-private-network": "request_private_network",
}
_CREDENTIALS = frozenset({b"cookie", b"authorization"})


class CORSMiddleware:
    """
    Lets pages of other origins use an ASGI application.

    Preflights are answered before the application sees them, and its answers get the
    headers, that to an unhandled exception too. A WebSocket handshake from a page is let
    through if the page's origin is allowed, or is that of the server itself: it always
    carries the visitor's cookies, so where the policy says ``"*"`` it is refused if it has
    any. What does not come from a page is let through.

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

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Serve a connection. See the ASGI specification."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        decision = await self._decide(_request(scope))
        if decision.preflight:
            await _answer(send, decision)
            return
        response = _Response(send, decision, is_get=scope["method"] == "GET")
        try:
            await self._app(scope, receive, response.send)
        except Exception as error:
            if response.refused:
                # It was told that its client has gone, by an error that it may wrap.
                _log.debug("the application ended with %r", error)
                return
            if not response.started:
                await _answer_error(error, scope, receive, response.send)
            raise

    async def _websocket(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        request = _request(scope)
        if request.origin is not None and not _is_own(request):
            decision = await self._decide(request)
            reason = decision.reason or self._hijacking(scope, request)
            if reason is not None:
                _log.debug("refused a WebSocket at %a: %s", request.path, reason)
                await receive()
                await send(
                    {"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""}
                )
                return
        await self._app(scope, receive, send)

    def _hijacking(self, scope: _Scope, request: CorsRequest) -> str | None:
        """Say why a page that only ``"*"`` lets in must not have this handshake."""
        origins = self._policy.compiled.origins
        if self._policy.supports_credentials or request.origin in origins.exact:
            return None
        if origins.any_origin:
            for name, _ in scope["headers"]:
                if name in _CREDENTIALS:
                    return f"'*' allows no credentials, and there is a field {name!r}"
        return None

    async def _decide(self, request: CorsRequest) -> Decision:
        decision = await decide_async(self._policy, request)
        if decision.reason is not None:
            _log.debug("refused %s %a: %s", request.method, request.path, decision.reason)
        return decision


class _RefusedError(OSError):
    """What ``send`` raises after a stream was refused: as if its client had gone."""


class _Response:
    """What an application sends, with the headers of a decision."""

    def __init__(self, send: _Send, decision: Decision, *, is_get: bool) -> None:
        self.started = False
        self.refused = False
        self._send = send
        self._decision = decision
        self._is_get = is_get

    async def send(self, message: _Message) -> None:
        if self.refused:
            raise _RefusedError("the stream was refused")
        if message["type"] == "http.response.start":
            self.started = True
            headers: _Headers = list(message.get("headers", ()))
            if self._is_get and self._decision.reason is not None and _is_stream(headers):
                # Nobody would read it, and it would hold its place for as long as the
                # client likes. Only a GET: others have an Origin on pages of our own, too.
                self.refused = True
                await _answer(self._send, self._decision)
                raise _RefusedError("the stream was refused")
            message = {**message, "headers": _merged(headers, self._decision)}
        await self._send(message)


def _request(scope: _Scope) -> CorsRequest:
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


def _is_own(request: CorsRequest) -> bool:
    """Tell whether a page is the server's own: a browser says so for a WebSocket."""
    scheme, _, authority = (request.origin or "").partition("://")
    # Whether TLS ends in a proxy is not to be seen, so the scheme tells nothing; but
    # only the scheme's own port may be left out.
    return scheme in {"http", "https"} and authority == (request.host or "").lower()


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


async def _answer(send: _Send, decision: Decision) -> None:
    assert decision.status is not None  # noqa: S101 - what we answer has one
    text = "" if decision.reason is None else f"{decision.reason}\n"
    await _send_text(send, decision.status, text, decision)


async def _answer_error(
    error: Exception, scope: _Scope, receive: _Receive, send: _Send
) -> None:
    """Answer to an exception that nobody has answered to, before it goes on its way."""
    # Starlette would answer outside of us, so that nothing could be added: it is asked to
    # do so inside. Whoever has an application of Starlette's has imported it.
    module = sys.modules.get("starlette.middleware.errors")
    app = scope.get("app")
    handlers = getattr(app, "exception_handlers", None)
    if module is None or handlers is None:
        await _send_text(send, 500, "Internal Server Error")
        return

    async def fail(*_: object) -> None:
        raise error

    handler = handlers.get(500) or handlers.get(Exception)
    answering = module.ServerErrorMiddleware(fail, handler, getattr(app, "debug", False))
    with contextlib.suppress(type(error)):
        await answering(scope, receive, send)


async def _send_text(
    send: _Send, status: int, text: str, decision: Decision | None = None
) -> None:
    body = text.encode()
    headers: _Headers = []
    if body:
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
        headers.append((b"content-length", b"%d" % len(body)))
    if decision is not None:
        headers = _merged(headers, decision)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
