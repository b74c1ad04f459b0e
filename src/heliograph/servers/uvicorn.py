"""
Taking a client's connection over from uvicorn, so that a stream holds no task.

uvicorn runs each request in a task, with a ``send`` that does more than a stream needs. So
the transport gets a protocol of ours, as uvicorn itself does for WebSockets, and the
request is ended for uvicorn and for all middleware in the usual way: with a last message,
whose bytes go nowhere.

When uvicorn stops it tells its connections, once, and waits for the end of all, also of
streams whose request was under way then. So something of ours stands among them.

What is private of uvicorn is looked at before it is touched. Whatever differs from what was
seen to work keeps its connection; so does a stream whose bytes a middleware changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from typing import TYPE_CHECKING, Any

from ..hub.sinks import ConnectionSink
from ..wire.framing import Framing
from .asgi import Flow, tell_unknown
from .stopping import stopping

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from ..config import HubConfig
    from ..hub.sinks import SinkClient

__all__ = [
    "UvicornSink",
    "expecting_stop",
    "has_lost_client",
    "is_told_of_stop",
    "take_over",
    "told_of_stop",
]

# When uvicorn stops, clients have this long to take what was written to them. Who does not
# will be given it again after reconnecting.
_STOP_SECONDS = 0.5

_MODULES = frozenset(
    {"uvicorn.protocols.http.h11_impl", "uvicorn.protocols.http.httptools_impl"}
)


class UvicornSink(ConnectionSink):
    """
    A connection on uvicorn's loop.

    Args:
        connection: What was found of uvicorn's.
        framing: How the body is delimited.
    """

    __slots__ = ("_connections", "_is_stopping")

    def __init__(self, connection: _Connection, *, framing: Framing) -> None:
        super().__init__(framing=framing)
        self.take(connection.transport)
        self.paused = connection.flow.write_paused
        self._connections = connection.connections
        self._is_stopping = False

    def attach(self, client: SinkClient) -> None:
        """Tell somebody from now on what happens to the client, and that uvicorn stops."""
        super().attach(client)
        if self._is_stopping:
            client.finish()

    def shutdown(self) -> None:
        """End the stream: uvicorn calls this when it stops, and waits for the client."""
        self._is_stopping = True
        if self._client is not None:
            self._client.finish()
        self._abort_in(_STOP_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell uvicorn, which waits for its connections when it stops, and the hub."""
        self._connections.discard(self)
        super().connection_lost(exc)


@contextlib.contextmanager
def expecting_stop(receive: Any) -> Iterator[None]:
    """
    Be told when uvicorn stops, within a block: all that is done for a request.

    Args:
        receive: As the application was given it, of any server.
    """
    cycle = _cycle_of(receive)
    stop = None
    with contextlib.suppress(AttributeError, TypeError):
        state = cycle.transport.get_protocol().server_state
        known = _stops.get(state) or _Stop(state)
        known.begin(cycle)
        stop = _stops[state] = known
    try:
        yield
    finally:
        if stop is not None:
            stop.end()


def is_told_of_stop(receive: Any) -> bool:
    """
    Say whether :func:`told_of_stop` is going to tell.

    Args:
        receive: As the application was given it, of any server.
    """
    return _stop_of(receive) is not None


@contextlib.contextmanager
def told_of_stop(receive: Any, on_stop: Callable[[], None]) -> Iterator[None]:
    """
    Have something called, within a block, when uvicorn stops, or soon if it does already.

    Args:
        receive: As for :func:`expecting_stop`, in whose block this is.
        on_stop: Is called at most once.
    """
    stop = _stop_of(receive)
    if stop is None:
        yield
        return
    if stop.is_over_for(_cycle_of(receive)):
        asyncio.get_running_loop().call_soon(on_stop)
    else:
        stop.waiting.add(on_stop)
    try:
        yield
    finally:
        stop.waiting.discard(on_stop)


async def take_over(
    receive: Any, send: Callable[[Any], Awaitable[None]], config: HubConfig
) -> UvicornSink | None:
    """
    Take the connection of a request whose head has been sent.

    A comment is sent in any case.

    Args:
        receive: As the application was given it.
        send: The same.
        config: For the socket.

    Returns:
        Where the stream goes on; the request has ended. :obj:`None` if it goes on
        through ``send``.
    """
    connection = _find(receive)
    first = b":\n\n"
    message = {"type": "http.response.body", "body": first, "more_body": True}
    if connection is None:
        await send(message)
        return None
    written = await _written(connection, send, message)
    if (
        written not in {first, Framing.CHUNKED.frame(first)}
        or connection.cycle.disconnected
    ):
        return None
    Flow(receive).tune(config)
    framing = Framing.IDENTITY if written == first else Framing.CHUNKED
    sink = UvicornSink(connection, framing=framing)
    _hand_over(connection, sink)
    if connection.stop is not None and connection.stop.is_over_for(connection.cycle):
        asyncio.get_running_loop().call_soon(sink.shutdown)
    try:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    except BaseException:
        sink.abort()
        raise
    return sink


def has_lost_client(receive: Any) -> bool:
    """
    Say whether uvicorn knows that a client has gone, where ``receive`` may not say so.

    uvicorn tells the latest request of a connection, and with httptools another may wait
    behind the one that is served.

    Args:
        receive: As the application was given it, of any server.
    """
    is_closing = getattr(getattr(_cycle_of(receive), "transport", None), "is_closing", None)
    return callable(is_closing) and bool(is_closing())


class _Connection:
    """What is used of uvicorn's objects for a request."""

    def __init__(self, cycle: Any) -> None:
        self.cycle = cycle
        self.transport: asyncio.Transport = cycle.transport
        protocol: Any = self.transport.get_protocol()
        self.protocol = protocol
        self.flow = cycle.flow
        self.connections: set[Any] = protocol.server_state.connections
        self.stop = _stops.get(protocol.server_state)
        # With httptools a request that waits behind this one may be the protocol's already.
        is_followed = bool(getattr(protocol, "pipeline", None))
        self.is_as_known = (
            (protocol.cycle is cycle or is_followed)
            and protocol.transport is self.transport
            and protocol in self.connections
            and cycle.response_started is True
            and cycle.response_complete is False
            and isinstance(self.flow.write_paused, bool)
            and callable(self.flow.resume_reading)
            and callable(self.flow.resume_writing)
            and callable(protocol._unset_keepalive_if_required)  # noqa: SLF001 - see the module
        )


class _Stop:
    """
    Stands among uvicorn's connections, to be told when it stops.

    uvicorn waits for whatever stands there, and a request may come to us late, after it has
    told the others. So this stays there from the first request of which it is certain that
    it is not late; before, no longer than the requests last.
    """

    def __init__(self, state: Any) -> None:
        self.waiting: set[Callable[[], None]] = set()
        self._state = weakref.ref(state)
        self._connections: set[Any] = state.connections
        self._has_begun = False
        self._stays = False
        self._requests = 0
        self._late: weakref.WeakSet[Any] = weakref.WeakSet()

    def begin(self, cycle: Any) -> None:
        # It tells the last request of a connection; others may wait in front of that.
        last = getattr(cycle.transport.get_protocol(), "cycle", None) or cycle
        if self._is_told():
            self._late.add(cycle)
        elif last.keep_alive:
            # Those that it tells lose that.
            self._stays = True
        elif not _may_close(last.scope):
            self._late.add(cycle)
        self._requests += 1
        if not self._has_begun:
            self._connections.add(self)

    def end(self) -> None:
        self._requests -= 1
        if self._requests == 0 and not self._stays:
            self._connections.discard(self)

    def is_over_for(self, cycle: Any) -> bool:
        return self._has_begun or cycle in self._late

    def _is_told(self) -> bool:
        # Where the server can be seen: not in another thread.
        is_stopping = stopping()
        server = getattr(is_stopping, "server", None)
        return (
            is_stopping is not None
            and getattr(server, "server_state", None) is self._state()
            and is_stopping()
        )

    def shutdown(self) -> None:
        self._has_begun = True
        self._connections.discard(self)
        for on_stop in tuple(self.waiting):
            on_stop()


_stops: weakref.WeakKeyDictionary[Any, _Stop] = weakref.WeakKeyDictionary()


def _stop_of(receive: Any) -> _Stop | None:
    try:
        return _stops.get(_cycle_of(receive).transport.get_protocol().server_state)
    except (AttributeError, TypeError):
        return None


def _cycle_of(receive: Any) -> Any:
    # Middleware replaces `send` more often than `receive`.
    cycle = getattr(receive, "__self__", None)
    return cycle if type(cycle).__module__ in _MODULES else None


def _may_close(scope: Any) -> bool:
    """Say whether a connection may be closed after a request although uvicorn goes on."""
    return scope["http_version"] != "1.1" or any(
        name in {b"connection", b"proxy-connection"} and b"close" in value.lower()
        for name, value in scope["headers"]
    )


class _Nowhere:
    """A transport for what need not reach the client."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return True

    def close(self) -> None:
        pass


def _find(receive: Any) -> _Connection | None:
    cycle = _cycle_of(receive)
    if cycle is None:
        return None
    try:
        if cycle.disconnected or cycle.transport.is_closing():
            return None
        if not cycle.response_started:
            return None  # a middleware holds the head back
        if type(cycle.transport.get_protocol()).__module__ not in _MODULES:
            return None  # a WebSocket has been asked for behind it
        connection = _Connection(cycle)
    except (AttributeError, TypeError) as error:
        reason = str(error)
    else:
        if connection.is_as_known:
            # Without, uvicorn would not be able to end it.
            return connection if connection.stop is not None else None
        reason = "its objects are used otherwise"
    tell_unknown("uvicorn", "streams hold a task each", reason)
    return None


async def _written(connection: _Connection, send: Any, message: Any) -> bytes:
    """Send a message; give what of it has reached the connection."""
    recorder = _Nowhere()
    connection.cycle.transport = recorder
    try:
        await send(message)
    finally:
        connection.cycle.transport = connection.transport
    # The client may have left while a middleware waited.
    if not connection.transport.is_closing():
        connection.transport.write(recorder.written)
    return recorder.written


def _hand_over(connection: _Connection, sink: UvicornSink) -> None:
    protocol: Any = connection.protocol
    connection.flow.resume_reading()
    connection.flow.resume_writing()
    protocol._unset_keepalive_if_required()  # noqa: SLF001 - see the module
    connection.connections.discard(protocol)
    connection.connections.add(sink)
    connection.transport.set_protocol(sink)
    connection.cycle.transport = protocol.transport = _Nowhere()
