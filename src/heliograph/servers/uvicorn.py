"""
Taking a client's connection over from uvicorn, so that a stream holds no task.

uvicorn runs each request in a task, with a ``send`` that does more than a stream needs. So
the transport gets a protocol of ours, as uvicorn itself does for WebSockets, and the
request is ended for uvicorn and for all middleware in the usual way: with a last message,
whose bytes go nowhere.

The private objects of uvicorn are checked before they are touched. A connection where they
differ from what the tests have seen stays uvicorn's, and so does a stream whose bytes a
middleware changes. What happens when uvicorn stops is in ``uvicorn_stop.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from ..hub.sinks import ConnectionSink
from ..wire.framing import Framing
from .log_once import log_unknown
from .stopping import stopping_process
from .transport import TransportConnection, send_first
from .uvicorn_stop import MODULES, cycle_of, stop_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from ..config import HubConfig
    from ..hub.sinks import SinkClient
    from .asgi_types import Receive, Send
    from .interface import IsStopping

__all__ = ["UvicornConnection", "UvicornSink", "connection_of", "has_lost_client"]

# When uvicorn stops, clients have this long to take what was written to them. A client that
# does not take it gets it again after it has reconnected.
_STOP_SECONDS = 0.5


def connection_of(receive: Receive, send: Send) -> UvicornConnection | None:
    """
    Return the connection of a request to uvicorn.

    Args:
        receive: As the application got it, from any server.
        send: As the application got it.

    Returns:
        :obj:`None` if the server is not uvicorn, or if a middleware hides it.
    """
    cycle = cycle_of(receive)
    return None if cycle is None else UvicornConnection(cycle, receive, send)


def has_lost_client(receive: Receive) -> bool:
    """
    Return whether uvicorn knows that a client has left, where ``receive`` may not say so.

    uvicorn tells the latest request of a connection, and with httptools another may wait
    behind the one that is served.

    Args:
        receive: As the application got it, from any server.
    """
    return _is_closing(cycle_of(receive))


def _is_closing(cycle: Any) -> bool:
    is_closing = getattr(getattr(cycle, "transport", None), "is_closing", None)
    return callable(is_closing) and bool(is_closing())


class UvicornConnection(TransportConnection):
    """
    A connection on uvicorn's loop.

    Args:
        cycle: What uvicorn calls the cycle of a request.
        receive: As the application got it.
        send: As the application got it.
    """

    def __init__(self, cycle: Any, receive: Receive, send: Send) -> None:
        super().__init__(receive, send)
        self._cycle = cycle

    @property
    def is_stopping(self) -> IsStopping | None:
        """What the process handles SIGTERM with, where uvicorn's connections are hidden."""
        return stopping_process() if stop_of(self._cycle) is None else None

    def told_of_stop(self, on_stop: Callable[[], None]) -> AbstractContextManager[None]:
        """See :class:`~heliograph.servers.interface.AsgiConnection`."""
        stop = stop_of(self._cycle)
        if stop is None:
            return contextlib.nullcontext()
        return stop.telling(self._cycle, on_stop)

    def has_lost_client(self) -> bool:
        """See :func:`has_lost_client`."""
        return _is_closing(self._cycle)

    async def take_over(self, config: HubConfig, first: bytes) -> UvicornSink | None:
        """See :class:`~heliograph.servers.interface.AsgiConnection`."""
        parts = _parts_of(self._cycle)
        if parts is None:
            await send_first(self._send, first)
            return None
        written = await _written(parts, self._send, first)
        if written not in {first, Framing.CHUNKED.frame(first)} or self._has_left():
            return None
        self.tune(config)
        framing = Framing.IDENTITY if written == first else Framing.CHUNKED
        sink = UvicornSink(parts, framing=framing)
        _hand_over(parts, sink)
        if parts.stop is not None and parts.stop.is_over_for(self._cycle):
            asyncio.get_running_loop().call_soon(sink.shutdown)
        try:
            await self._send(
                {"type": "http.response.body", "body": b"", "more_body": False}
            )
        except BaseException:
            sink.abort()
            raise
        return sink

    def _has_left(self) -> bool:
        return bool(self._cycle.disconnected)


class UvicornSink(ConnectionSink):
    """
    A stream that was taken over, on uvicorn's loop.

    Args:
        parts: The private objects of uvicorn.
        framing: How the body is delimited.
    """

    __slots__ = ("_connections", "_is_stopping")

    def __init__(self, parts: _Parts, *, framing: Framing) -> None:
        super().__init__(framing=framing)
        self.take(parts.transport)
        self.paused = parts.flow.write_paused
        self._connections = parts.connections
        self._is_stopping = False

    def attach(self, client: SinkClient) -> None:
        """Report from now on what happens to the client, and that uvicorn stops."""
        super().attach(client)
        if self._is_stopping:
            client.finish()

    def shutdown(self) -> None:
        """End the stream. uvicorn calls this when it stops, and waits for the client."""
        self._is_stopping = True
        if self._client is not None:
            self._client.finish()
        self._abort_in(_STOP_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell uvicorn, which waits for its connections when it stops, and the hub."""
        self._connections.discard(self)
        super().connection_lost(exc)


class _Parts:
    """The private objects of uvicorn that belong to a request."""

    def __init__(self, cycle: Any) -> None:
        self.cycle = cycle
        self.transport: asyncio.Transport = cycle.transport
        protocol: Any = self.transport.get_protocol()
        self.protocol = protocol
        self.flow = cycle.flow
        self.connections: set[Any] = protocol.server_state.connections
        self.stop = stop_of(cycle)
        # With httptools the protocol's cycle may be that of a request behind this one.
        is_followed = bool(getattr(protocol, "pipeline", None))
        self.is_as_known = (
            (protocol.cycle is cycle or is_followed)
            and protocol.transport is self.transport
            and protocol in self.connections
            and cycle.response_started is True
            and cycle.response_complete is False
            and isinstance(cycle.disconnected, bool)
            and isinstance(self.flow.write_paused, bool)
            and callable(self.flow.resume_reading)
            and callable(self.flow.resume_writing)
            and callable(protocol._unset_keepalive_if_required)  # noqa: SLF001 - see the module
        )


class _Nowhere:
    """A transport that keeps what is written instead of sending it."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return True

    def close(self) -> None:
        pass


def _parts_of(cycle: Any) -> _Parts | None:
    try:
        if cycle.disconnected or cycle.transport.is_closing():
            return None
        if not cycle.response_started:
            return None  # a middleware holds the head back
        if type(cycle.transport.get_protocol()).__module__ not in MODULES:
            return None  # the next request on the connection has asked for a WebSocket
        parts = _Parts(cycle)
    except (AttributeError, TypeError) as error:
        reason = str(error)
    else:
        if parts.is_as_known:
            # Without a Stop, uvicorn could not end the stream.
            return parts if parts.stop is not None else None
        reason = "its objects are used otherwise"
    log_unknown("uvicorn", "streams hold a task each", reason)
    return None


async def _written(parts: _Parts, send: Send, first: bytes) -> bytes:
    """Send the first bytes and return what of them has reached the connection."""
    recorder = _Nowhere()
    parts.cycle.transport = recorder
    try:
        await send_first(send, first)
    finally:
        parts.cycle.transport = parts.transport
    # The client may have left while a middleware waited.
    if not parts.transport.is_closing():
        parts.transport.write(recorder.written)
    return recorder.written


def _hand_over(parts: _Parts, sink: UvicornSink) -> None:
    protocol: Any = parts.protocol
    parts.flow.resume_reading()
    parts.flow.resume_writing()
    protocol._unset_keepalive_if_required()  # noqa: SLF001 - see the module
    parts.connections.discard(protocol)
    parts.connections.add(sink)
    parts.transport.set_protocol(sink)
    parts.cycle.transport = protocol.transport = _Nowhere()
