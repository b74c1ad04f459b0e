"""
CORS for ASGI applications: Starlette, FastAPI, Quart, or plain ones.

Strategy: the outermost middleware adds the headers to whatever is sent through it. Those
further in only record their decision, so the innermost decides, and what is sent outside of
it (a framework's answer to an exception) has the headers all the same.

Needs the standard library only.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ..cors import CorsPolicy, decide_async
from ..cors.handshake import HandshakePolicy
from ..cors.request import request_from_headers
from ..faces.cors import judge_handshake, judged
from .around import Layer, put_around
from .messages import body, start
from .naming import NamedAsFunction

if TYPE_CHECKING:
    from ..cors.outcome import Answer, Outcome
    from ..servers.asgi_types import Message, Receive, Scope, Send

__all__ = ["CORSMiddleware"]

_log = logging.getLogger("heliograph.cors")

# Frameworks' types of these are not compatible with each other: asgiref's dicts are not
# Starlette's mappings.
_App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
_Headers: TypeAlias = list[tuple[bytes, bytes]]

# RFC 6455 section 7.4.1.
_POLICY_VIOLATION = 1008

# The key of a scope under which middleware further in finds the outermost one's response.
_SCOPE_KEY = "heliograph.cors"

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
    ``app.add_middleware(CORSMiddleware, policy=policy)``.

    Args:
        app: The application.
        policy: Who may do what. Its functions may be async.

    Raises:
        TypeError: The policy is not a :class:`~heliograph.cors.CorsPolicy`.
    """

    def __init__(self, app: _App, policy: CorsPolicy) -> None:
        if not isinstance(policy, CorsPolicy):
            raise TypeError(
                f"policy: {policy!r} is not a CorsPolicy; write CorsPolicy(origins=…)"
            )
        self._app = app
        self._policy = policy
        self._handshakes = HandshakePolicy(policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection. See the ASGI specification."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            put_around(scope, _Around)
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = request_from_headers(scope["method"], scope["path"], scope["headers"])
        decision = await decide_async(self._policy, request)
        outcome = judged(self._policy, request, decision)
        if outcome.decision.preflight:
            await _send_answer(send, outcome.answer())
            return
        response = scope.get(_SCOPE_KEY)
        if response is not None:
            response.outcome = outcome
            await self._app(scope, receive, send)
            return
        put_around(scope, _Around)
        response = _Response(send, outcome)
        # Inside of a framework, the framework answers to exceptions.
        await response.run(self._app, scope, receive, is_outermost="app" not in scope)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        fields = scope["headers"]
        if not await judge_handshake(
            self._handshakes,
            request_from_headers("GET", scope["path"], fields),
            scheme=scope.get("scheme", "ws"),
            has_credentials=any(name in _CREDENTIALS for name, _ in fields),
        ):
            # The server answers a connection that is closed before it is accepted with 403
            # (ASGI specification, WebSocket, "Close - send event").
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        await self._app(scope, receive, send)


class _Response:
    """
    A response that gets its headers on the way out, in the outermost middleware.

    Attributes:
        outcome: The innermost middleware's; :obj:`None` as long as there is none.
    """

    def __init__(self, send: Send, outcome: Outcome | None) -> None:
        self.outcome = outcome
        self._is_started = False
        self._is_refused = False
        self._send = send

    async def run(
        self, app: _App, scope: Scope, receive: Receive, *, is_outermost: bool
    ) -> None:
        try:
            await app({**scope, _SCOPE_KEY: self}, receive, self.send)
        except Exception as error:
            if self._is_refused and _is_caused_by_refusal(error):
                _log.debug("the application ended with %r", error)
                return
            if is_outermost and not self._is_started:
                await _send_text(self.send, 500, "Internal Server Error", ())
            raise

    async def send(self, message: Message) -> None:
        if self._is_refused:
            raise _RefusedError("the stream was refused")
        outcome = self.outcome
        if message["type"] == "http.response.start" and outcome is not None:
            headers: _Headers = list(message.get("headers", ()))
            present = _present_in(headers)
            if outcome.refuses_stream(present):
                self._is_refused = self._is_started = True
                await _send_answer(self._send, outcome.answer())
                raise _RefusedError("the stream was refused")
            message = {**message, "headers": headers + _encoded(outcome.fields(present))}
        self._is_started = True
        await self._send(message)


class _RefusedError(OSError):
    """The error of ``send`` after a stream was refused: as if its client had gone."""


class _Around(Layer):
    """
    A layer around the middleware of a Starlette application.

    Starlette puts what answers to unhandled exceptions outside of all other middleware.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _SCOPE_KEY in scope:
            await self.inner(scope, receive, send)
            return
        response = _Response(send, None)
        await response.run(self.inner, scope, receive, is_outermost=False)


def _is_caused_by_refusal(error: BaseException | None) -> bool:
    """Return whether ``send`` raised an exception, or it was raised because of that."""
    while error is not None:
        if isinstance(error, _RefusedError):
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(map(_is_caused_by_refusal, error.exceptions))
        error = error.__cause__ or error.__context__
    return False


def _present_in(headers: _Headers) -> Callable[[str], Sequence[str]]:
    """Return what returns the values of a field. Mostly there is no such field."""
    names = {name.lower() for name, _ in headers}

    def present(name: str) -> Sequence[str]:
        wanted = _field_name(name)
        if wanted not in names:
            return ()
        return [value.decode("latin-1") for n, value in headers if n.lower() == wanted]

    return present


def _encoded(fields: tuple[tuple[str, str], ...]) -> _Headers:
    return [(_field_name(name), value.encode()) for name, value in fields]


@functools.cache  # of the names that policies use, not of those that clients send
def _field_name(name: str) -> bytes:
    return name.lower().encode()


async def _send_answer(send: Send, answer: Answer) -> None:
    await _send_text(send, answer.status, answer.text, answer.fields)


async def _send_text(
    send: Send, status: int, text: str, more: tuple[tuple[str, str], ...]
) -> None:
    data = text.encode()
    headers: list[tuple[str, str]] = []
    if data:
        headers.append(("Content-Type", "text/plain; charset=utf-8"))
        headers.append(("Content-Length", str(len(data))))
    await send(start(status, [*headers, *more]))
    await send(body(data, more=False))
