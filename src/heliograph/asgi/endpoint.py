"""
The endpoint of streams: the ASGI application inside of :class:`.EventStreams`.

It translates between ASGI and :mod:`heliograph.faces`, which decides.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeAlias

from ..faces import (
    Access,
    Admission,
    NeedsVerdict,
    Refusal,
    admit,
    decide,
    stream_headers,
)
from ..servers.asgi import expecting_stop
from .advice import about_memory
from .messages import body, refuse, start
from .request import stream_request
from .serving import serve_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..faces import StreamRequest
    from ..faces.loop_hub import LoopHub
    from ..servers.asgi_types import Receive, Scope, Send

__all__ = ["Authorizer", "StreamEndpoint"]

_Verdict: TypeAlias = bool | None
# Developers annotate the scope as a dict, a mapping of Starlette's or one of asgiref's.
Authorizer: TypeAlias = "Callable[[tuple[str, ...], Any], _Verdict | Awaitable[_Verdict]]"


class StreamEndpoint:
    """
    An ASGI application that serves streams at any path.

    Args:
        hub: The hub that serves them. The server's lifespan opens and closes it.
        access: Who may open a stream, except for the authorizer.
        authorizer: See :class:`.EventStreams`.
        may_take_over: Whether connections may be taken over from the server.
    """

    def __init__(
        self,
        hub: LoopHub,
        access: Access,
        authorizer: Authorizer | None,
        *,
        may_take_over: bool,
    ) -> None:
        self._hub = hub
        self._access = access
        self._authorizer = authorizer
        self._may_take_over = may_take_over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve a connection. See the ASGI specification.

        Raises:
            ValueError: The connection is of a type that the specification does not have.
        """
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            with expecting_stop(receive):
                await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            # Servers answer with 403 to a handshake that is closed before it is accepted.
            await receive()
            await send({"type": "websocket.close"})
        else:
            raise ValueError(f"streams are HTTP, not {scope['type']!r}")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._hub.opened()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._hub.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = stream_request(scope)
        decision = await self._decide(request, scope)
        if isinstance(decision, Refusal):
            await refuse(send, decision)
            return
        if scope["method"] == "HEAD":
            await send(start(200, stream_headers(decision)))
            await send(body(b"", more=False))
            return
        about_memory(self._hub.url)
        hub = await self._hub.opened()
        ticket = admit(hub, decision, accept=request.headers.get("accept", ""))
        if isinstance(ticket, Refusal):
            await refuse(send, ticket)
            return
        await serve_client(
            hub,
            ticket,
            receive,
            send,
            head=start(200, stream_headers(decision)),
            coding=decision.coding,
            may_take_over=self._may_take_over,
        )

    async def _decide(self, request: StreamRequest, scope: Scope) -> Admission | Refusal:
        decision = decide(request, self._access, now=time.time())
        if not isinstance(decision, NeedsVerdict):
            return decision
        assert self._authorizer is not None  # noqa: S101 - no verdict is needed without one
        verdict = self._authorizer(decision.channels, scope)
        if isinstance(verdict, Awaitable):
            verdict = await verdict
        return decision.settle(verdict)
