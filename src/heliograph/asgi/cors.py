"""
CORS for ASGI applications: Starlette, FastAPI, Quart, or plain ones.

Strategy: the outermost layer adds the headers to whatever is sent through it. Each
middleware further in only records its decision, so the innermost decides, and what is sent
outside of it (a framework's answer to an exception) has the headers all the same.

In a Starlette application every middleware that is added later is further out: it could
answer a preflight, or answer without headers. So :class:`_Outermost` applies the policies
that it finds among the application's middleware around all of it. The instances that
Starlette has created pass requests on. They judge the handshakes of WebSockets: there are
no preflights for these, and nobody reads an answer.

Needs the standard library only.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from ..cors import CorsPolicy, decide_async
from ..cors.handshake import HandshakePolicy
from ..cors.outcome import Outcome
from ..cors.request import request_from_headers
from ..faces.cors import judge_handshake, log_refused_preflight, warn_of
from ..servers.log_once import warn_once
from .around import Layer, middleware_of, put_around, put_around_all, starlette_app
from .cors_arguments import checked
from .cors_response import RESPONSE_KEY, App, CorsResponse, send_answer
from .messages import body, start
from .naming import NamedAsFunction

if TYPE_CHECKING:
    from ..servers.asgi_types import Receive, Scope, Send

__all__ = ["CORSMiddleware"]

_log = logging.getLogger("heliograph.cors")

# RFC 6455 section 7.4.1.
_POLICY_VIOLATION = 1008

# The extension of a scope, and the beginning of the messages, with which an application
# refuses a handshake by a whole response (ASGI specification, "WebSocket Denial Response").
_DENIAL = "websocket.http.response"

# The key of a scope that holds the exception of a policy's function, and the policy.
_FAILED_KEY = "heliograph.cors.failed"

_CREDENTIALS = frozenset({b"cookie", b"authorization"})


class CORSMiddleware(NamedAsFunction):
    """
    Allow pages of other origins to use an ASGI application.

    Preflights are answered before the application sees them. The application's responses
    get the headers, including the response to an unhandled exception. If one middleware is
    inside another, the outermost answers preflights, and the innermost decides everything
    else.

    A WebSocket handshake is allowed if it comes from a page of the server itself, from an
    origin that the policy allows, or not from a browser. It may carry the visitor's cookies
    whatever the policy says. So if it does, and the policy has no ``supports_credentials``,
    only rules count that could be used with credentials: not ``"*"``, ``"null"``, or
    expressions that may end in any name.

    ``app = CORSMiddleware(app, policy)``, or with Starlette and FastAPI
    ``app.add_middleware(CORSMiddleware, policy=policy)``, which acts around all middleware
    of the application, in whatever order it was added.

    Args:
        app: The application.
        policy: Who may do what. Its functions may be async.

    Raises:
        TypeError: The application is none, the policy is not a
            :class:`~heliograph.cors.CorsPolicy`, or there are options beside it. Names
            the options of Starlette's middleware, and what to write instead.
    """

    @checked
    def __init__(self, app: App, policy: CorsPolicy) -> None:
        self.app = app
        self._policy = policy
        self._handshakes = HandshakePolicy(policy)
        # Whether the layer around the application applies the policy to requests.
        self._acts_outside = False
        put_around_all(_Outermost)
        warn_of(policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection. See the ASGI specification."""
        kind = scope["type"]
        if kind == "http" and not self._acts_outside:
            await self._http(scope, receive, send)
        elif kind == "websocket":
            await self._websocket(scope, receive, send)
        else:
            failed = scope.get(_FAILED_KEY)
            if failed is not None and failed[0] is self._policy:
                raise failed[1]
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = request_from_headers(scope["method"], scope["path"], scope["headers"])
        decision = await decide_async(self._policy, request)
        outcome = Outcome(self._policy, request, decision)
        if decision.preflight:
            log_refused_preflight(outcome)
            await send_answer(send, outcome.answer())
            return
        response = scope.get(RESPONSE_KEY)
        if response is not None:
            response.outcome = outcome
            await self.app(scope, receive, send)
            return
        _put_late(scope)
        response = CorsResponse(send, outcome)
        # Inside of a framework, the framework answers to exceptions.
        await response.run(self.app, scope, receive, is_outermost="app" not in scope)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = scope["headers"]
        reason = await judge_handshake(
            self._handshakes,
            request_from_headers("GET", scope["path"], fields),
            scheme=scope.get("scheme", "ws"),
            has_credentials=any(name in _CREDENTIALS for name, _ in fields),
        )
        if reason is None:
            await self.app(scope, receive, send)
            return
        await receive()
        if _DENIAL in (scope.get("extensions") or ()):
            headers = [("Content-Type", "text/plain; charset=utf-8")]
            await send({**start(403, headers), "type": f"{_DENIAL}.start"})
            text = f"{reason}\n".encode()
            await send({**body(text, more=False), "type": f"{_DENIAL}.body"})
        else:
            # The server answers a connection that is closed before it is accepted with 403
            # (ASGI specification, WebSocket, "Close - send event").
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})


class _Outermost(Layer):
    """
    The layer around all middleware of a Starlette application.

    The headers are added here, by whatever policy decides: the application's own, or that
    of a part of it.

    Attributes:
        policies: Those among the application's middleware, the outermost first.
    """

    policies: tuple[CorsPolicy, ...] = ()

    @classmethod
    def around(cls, owner: Any, stack: Any) -> Self:
        """Return the layer, which takes the policies of the application's middleware."""
        policies: list[CorsPolicy] = []
        for found in middleware_of(owner, stack):
            if isinstance(found, CORSMiddleware) and not found._acts_outside:  # noqa: SLF001 - a class of this module
                found._acts_outside = True  # noqa: SLF001 - the same
                policies.append(found._policy)  # noqa: SLF001 - the same
            elif isinstance(found, _Outermost):
                # Something was put around it. It only passes on from now on.
                policies += found.policies
                found.policies = ()
        layer = cls(stack)
        layer.policies = tuple(policies)
        return layer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        outcome = await self._decided(scope) if self.policies else None
        if outcome is not None and outcome.decision.preflight:
            log_refused_preflight(outcome)
            await send_answer(send, outcome.answer())
            return
        response = scope.get(RESPONSE_KEY)
        if response is None:
            response = CorsResponse(send, outcome)
            await response.run(self.app, scope, receive, is_outermost=False)
            return
        if self.policies:
            response.outcome = outcome
        await self.app(scope, receive, send)

    async def _decided(self, scope: Scope) -> Outcome | None:
        """Return the outcome of a request; None if a function of the policy failed."""
        request = request_from_headers(scope["method"], scope["path"], scope["headers"])
        policy = self.policies[0 if request.is_preflight else -1]
        try:
            return Outcome(policy, request, await decide_async(policy, request))
        except Exception as error:  # noqa: BLE001 - raised further in, where the application's handlers see it
            scope[_FAILED_KEY] = policy, error
            return None


def _put_late(scope: Scope) -> None:
    """Put the layer around an application that was built before there was a policy."""
    app = starlette_app(scope)
    if app is not None and not put_around(app, _Outermost):
        _warn_in_place(app, "has another middleware_stack than Starlette 1.10")


def _warn_in_place(app: Any, difference: str) -> None:
    warn_once(
        _log,
        "in place",
        f"{type(app).__name__} {difference}, so CORSMiddleware acts where it was added:"
        " middleware that was added later can break preflights; its answers have no CORS"
        " headers, nor has the 500 for an unhandled exception. Instead of add_middleware,"
        " wrap the application as the last step: app = CORSMiddleware(app, policy)",
    )
