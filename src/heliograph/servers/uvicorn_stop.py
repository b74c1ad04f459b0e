"""
How streams learn that uvicorn stops.

uvicorn tells its connections once when it stops, then waits for the end of all responses,
including streams whose request was under way at that moment. So an object of ours stands
among its connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .interface import RequestLimit
from .signals import handler_of_stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .asgi_types import Receive, Scope
    from .interface import IsStopping

__all__ = [
    "MODULES",
    "Stop",
    "cycle_of",
    "expecting_stop",
    "request_limit",
    "stop_of",
    "stopping_server",
]

_log = logging.getLogger("heliograph.servers")

MODULES = frozenset(
    {"uvicorn.protocols.http.h11_impl", "uvicorn.protocols.http.httptools_impl"}
)
"""The modules of uvicorn's protocols for HTTP, and of what it calls a request's cycle."""


class Stop:
    """
    Stands among the connections of a uvicorn, to learn when it stops.

    uvicorn waits for whatever stands there, and a request may reach us after uvicorn has
    told its connections. So this stays from the first request that is certain to be
    earlier than that. Until then it stays only for as long as there are requests.

    Args:
        state: What uvicorn calls the state of a server.
    """

    def __init__(self, state: Any) -> None:
        self._on_stops: set[Callable[[], None]] = set()
        self._state = weakref.ref(state)
        self._connections: set[Any] = state.connections
        self._has_begun = False
        self._stays = False
        self._requests = 0
        self._late: weakref.WeakSet[Any] = weakref.WeakSet()

    def begin(self, cycle: Any) -> None:
        """
        Begin with a request.

        Args:
            cycle: What uvicorn calls the cycle of the request.
        """
        # uvicorn tells the last request of a connection; others may wait before that one.
        last = getattr(cycle.transport.get_protocol(), "cycle", None) or cycle
        if self._was_told():
            self._late.add(cycle)
        elif last.keep_alive:
            # Those that uvicorn has told do not keep their connection.
            self._stays = True
        elif not _may_close(last.scope):
            self._late.add(cycle)
        self._requests += 1
        if not self._has_begun:
            self._connections.add(self)

    def end(self) -> None:
        """End with a request."""
        self._requests -= 1
        if self._requests == 0 and not self._stays:
            self._connections.discard(self)

    def is_over_for(self, cycle: Any) -> bool:
        """
        Return whether a stream of a request must end as soon as it begins.

        Args:
            cycle: What uvicorn calls the cycle of the request.
        """
        return self._has_begun or cycle in self._late

    @contextlib.contextmanager
    def telling(self, cycle: Any, on_stop: Callable[[], None]) -> Iterator[None]:
        """
        Call a function when uvicorn stops, or soon if it does already, within the block.

        Args:
            cycle: What uvicorn calls the cycle of the request.
            on_stop: Called at most once.
        """
        if self.is_over_for(cycle):
            asyncio.get_running_loop().call_soon(on_stop)
        else:
            self._on_stops.add(on_stop)
        try:
            yield
        finally:
            self._on_stops.discard(on_stop)

    def shutdown(self) -> None:
        """Tell the streams. uvicorn calls this when it stops."""
        self._has_begun = True
        self._connections.discard(self)
        for on_stop in tuple(self._on_stops):
            try:
                on_stop()
            except Exception:  # noqa: BLE001 - logged; uvicorn and other streams have to stop
                _log.exception("cannot tell a stream that uvicorn stops")

    def _was_told(self) -> bool:
        # Where the server can be seen: signals are handled in the main thread only.
        server = handler_of_stop()
        is_stopping = stopping_server(server)
        return (
            is_stopping is not None
            and getattr(server, "server_state", None) is self._state()
            and is_stopping()
        )


_stops: weakref.WeakKeyDictionary[Any, Stop] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def expecting_stop(receive: Receive) -> Iterator[None]:
    """
    Learn when uvicorn stops, within the block: everything that is done for a request.

    Args:
        receive: As the application got it, from any server.
    """
    cycle = cycle_of(receive)
    stop = None
    with contextlib.suppress(AttributeError, TypeError):
        state = cycle.transport.get_protocol().server_state
        known = _stops.get(state) or Stop(state)
        known.begin(cycle)
        stop = _stops[state] = known
    try:
        yield
    finally:
        if stop is not None:
            stop.end()


def stop_of(cycle: Any) -> Stop | None:
    """
    Return what learns when the uvicorn of a request stops.

    Args:
        cycle: What uvicorn calls the cycle of the request.

    Returns:
        :obj:`None` outside of :func:`expecting_stop`, and if uvicorn looks different.
    """
    try:
        return _stops.get(cycle.transport.get_protocol().server_state)
    except (AttributeError, TypeError):
        return None


def cycle_of(receive: Receive) -> Any:
    """
    Return what uvicorn calls the cycle of a request.

    Args:
        receive: As the application got it, from any server. Middleware replaces ``send``
            more often.

    Returns:
        :obj:`None` if the server is not uvicorn, or if a middleware hides it.
    """
    cycle = getattr(receive, "__self__", None)
    return cycle if type(cycle).__module__ in MODULES else None


@dataclass(frozen=True)
class _IsStopping:
    server: Any

    def __call__(self) -> bool:
        # With a limit of requests it stops without a signal.
        return self.server.should_exit or (
            self.server.started
            and not any(listening.is_serving() for listening in self.server.servers)
        )


def stopping_server(server: Any) -> IsStopping | None:
    """
    Return what tells whether a uvicorn was told to stop.

    Args:
        server: Any object, such as the one whose method handles SIGTERM.

    Returns:
        :obj:`None` if it is no server of uvicorn, or one that looks different.
    """
    is_known = (
        any(kind.__module__.startswith("uvicorn.server") for kind in type(server).__mro__)
        and isinstance(getattr(server, "should_exit", None), bool)
        and isinstance(getattr(server, "started", None), bool)
        # It has none before it has started, while a lifespan may subscribe.
        and (not server.started or isinstance(getattr(server, "servers", None), list))
    )
    return _IsStopping(server) if is_known else None


def request_limit(server: Any) -> RequestLimit | None:
    """
    Return how many requests a uvicorn has before it ends, and is replaced by its parent.

    Args:
        server: As for :func:`stopping_server`.

    Returns:
        :obj:`None` if there is no limit, or as for :func:`stopping_server`.
    """
    # With its jitter, where the release has one and has computed it.
    limit = getattr(server, "limit_max_requests", None)
    if limit is None:
        limit = getattr(getattr(server, "config", None), "limit_max_requests", None)
    number = getattr(getattr(server, "server_state", None), "total_requests", None)
    if stopping_server(server) is None or not isinstance(number, int):
        return None
    # As a worker of gunicorn without a limit it has one of sys.maxsize.
    if not isinstance(limit, int) or limit == sys.maxsize:
        return None
    return RequestLimit(limit, "--limit-max-requests", number >= limit)


def _may_close(scope: Scope) -> bool:
    """Return whether a connection may close after a request although uvicorn goes on."""
    return scope["http_version"] != "1.1" or any(
        name in {b"connection", b"proxy-connection"} and b"close" in value.lower()
        for name, value in scope["headers"]
    )
