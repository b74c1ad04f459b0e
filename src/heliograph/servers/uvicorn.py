"""
Taking a client's connection over from uvicorn, so that a stream holds no task.

uvicorn runs each request in a task, with a ``send`` that does more than a stream needs, and
the transport of its loop takes more memory than the stream. So the head and the first bytes
are recorded, the hub gets a descriptor of the connection, and uvicorn's is closed. With TLS
the bytes are the transport's: it gets a protocol of ours, as uvicorn itself does for
WebSockets. The request is ended for uvicorn and for all middleware in the usual way: with a
last message, whose bytes go nowhere.

The private objects of uvicorn are checked before they are touched. A connection where they
differ from what the tests have seen stays uvicorn's, and so does a stream whose bytes a
middleware changes. What happens when uvicorn stops is in ``uvicorn_stop.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from ..hub.sinks import ConnectionSink, can_own_descriptors, duplicate, tune_socket
from ..wire.framing import Framing
from .log_once import log_unknown
from .stopping import stopping_process
from .transport import TransportConnection, send_first, tune_transport
from .uvicorn_stop import MODULES, cycle_of, stop_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ..hub.connections import Connections
    from ..hub.sinks import DescriptorSink, SinkClient
    from ..hub.sinks.descriptor import Watch
    from .asgi_types import Message, Receive, Send
    from .interface import IsStopping
    from .uvicorn_stop import Stop

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

    async def take_over(
        self, connections: Connections, head: Message, first: bytes
    ) -> ConnectionSink | DescriptorSink | None:
        """See :class:`~heliograph.servers.interface.AsgiConnection`."""
        parts = _parts_of(self._cycle)
        if parts is None:
            await self._send(head)
            await send_first(self._send, first)
            return None
        may_be_taken = False
        with parts.recorded() as recorder:
            try:
                await self._send(head)
                size = len(recorder.written)
                # If a middleware holds the head back it comes with the body, or later.
                await send_first(self._send, first)
                written = recorder.written[size:]
                is_unchanged = written in {first, Framing.CHUNKED.frame(first)}
                may_be_taken = size > 0 and is_unchanged and parts.may_be_taken()
            finally:
                # Also if a middleware has sent another response, and raises.
                if not may_be_taken and not parts.transport.is_closing():
                    parts.transport.write(recorder.written)
        if not may_be_taken:
            return None
        framing = Framing.IDENTITY if written == first else Framing.CHUNKED
        sink = _sink(parts, connections, recorder.written, framing)
        try:
            await self._send(
                {"type": "http.response.body", "body": b"", "more_body": False}
            )
        except BaseException:
            sink.abort()
            raise
        return sink


class UvicornSink(ConnectionSink):
    """
    A stream that was taken over with its transport, on uvicorn's loop.

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
        self._connections.add(self)
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


class UvicornStreams:
    """
    The streams that one hub has taken over from one uvicorn. A :class:`.Keeper`.

    It stands among uvicorn's connections for all of them, as long as there is one: uvicorn
    tells it when it stops, and waits until it is gone.

    Args:
        connections: The hub's.
        standing: What uvicorn calls its connections.
        stop_seconds: See :class:`.Keeper`.
    """

    def __init__(
        self, connections: Connections, standing: set[Any], stop_seconds: float | None
    ) -> None:
        self.stop_seconds = stop_seconds
        self._connections = connections
        self._standing = standing
        self._count = 0

    @property
    def watch(self) -> Watch:
        """That of the hub."""
        return self._connections.watch

    @property
    def close_seconds(self) -> float:
        """That of the hub."""
        return self._connections.close_seconds

    def sink(
        self, connection: socket.socket, head: bytes, framing: Framing
    ) -> DescriptorSink:
        """Return a sink. See :meth:`.Connections.sink`."""
        sink = self._connections.sink(connection, head, framing, self)
        self._count += 1
        self._standing.add(self)
        # Usually with the first event, which is written before that. But a middleware may
        # wait at the end of the request, and so may storage.
        asyncio.get_running_loop().call_soon(sink.send_head)
        return sink

    def shutdown(self) -> None:
        """End the streams. uvicorn calls this when it stops, and waits for the clients."""
        self.stop_seconds = _STOP_SECONDS
        for sink in self._connections.sinks:
            if sink.keeper is self:
                sink.stop()

    def on_closed(self, sink: DescriptorSink) -> None:
        """Forget a stream."""
        self._count -= 1
        if not self._count:
            self._standing.discard(self)
        self._connections.on_closed(sink)


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
            and cycle.response_started is False
            and cycle.response_complete is False
            and isinstance(cycle.disconnected, bool)
            and isinstance(self.flow.write_paused, bool)
            and callable(self.flow.resume_reading)
            and callable(self.flow.resume_writing)
            and callable(protocol._unset_keepalive_if_required)  # noqa: SLF001 - see the module
        )

    @contextlib.contextmanager
    def recorded(self) -> Iterator[_Nowhere]:
        """Yield what keeps all that the response writes within the block."""
        recorder = self.cycle.transport = _Nowhere()
        try:
            yield recorder
        finally:
            self.cycle.transport = self.transport

    def may_be_taken(self) -> bool:
        """Return whether the client is there, and the connection is the response's."""
        return (
            not self.cycle.disconnected
            and not self.transport.is_closing()
            # The next request on the connection may have asked for a WebSocket.
            and self.transport.get_protocol() is self.protocol
            and self.cycle.response_started is True
            and self.cycle.response_complete is False
        )

    def hand_over(self, protocol: asyncio.Protocol) -> None:
        """Set another protocol of the transport. What uvicorn writes goes nowhere then."""
        self.flow.resume_reading()
        self.flow.resume_writing()
        self.protocol._unset_keepalive_if_required()  # noqa: SLF001 - see the module
        self.connections.discard(self.protocol)
        self.transport.set_protocol(protocol)
        self.cycle.transport = self.protocol.transport = _Nowhere()


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


def _sink(
    parts: _Parts, connections: Connections, written: bytes, framing: Framing
) -> ConnectionSink | DescriptorSink:
    """Return the sink of a stream, with what uvicorn has written of it."""
    assert parts.stop is not None  # noqa: S101 - see `_parts_of`
    is_late = parts.stop.is_over_for(parts.cycle)
    connection = _own_connection(parts.transport)
    if connection is not None:
        with contextlib.suppress(OSError):  # the client may have left
            tune_socket(connection, connections.config)
        streams = _streams(parts.stop, connections, parts.connections, is_late=is_late)
        with contextlib.suppress(OSError):  # the system watches no more
            taken = streams.sink(connection, written, framing)
            parts.hand_over(_NOBODY)
            # Its descriptor is closed, and the connection goes on with ours.
            parts.transport.abort()
            return taken
    tune_transport(parts.transport, connections.config)
    parts.transport.write(written)
    sink = UvicornSink(parts, framing=framing)
    parts.hand_over(sink)
    if is_late:
        asyncio.get_running_loop().call_soon(sink.shutdown)
    return sink


# Of each uvicorn that has not been told to stop, by the hub.
_streams_of: WeakKeyDictionary[Stop, WeakValueDictionary[Connections, UvicornStreams]] = (
    WeakKeyDictionary()
)


def _streams(
    stop: Stop, connections: Connections, standing: set[Any], *, is_late: bool
) -> UvicornStreams:
    if is_late:
        return UvicornStreams(connections, standing, _STOP_SECONDS)
    known = _streams_of.setdefault(stop, WeakValueDictionary())
    return known.setdefault(connections, UvicornStreams(connections, standing, None))


def _own_connection(transport: asyncio.Transport) -> socket.socket | None:
    """Return a descriptor of our own for a connection, if its bytes are as written."""
    connection = transport.get_extra_info("socket")
    if (
        connection is None
        or not can_own_descriptors()
        or transport.get_extra_info("sslcontext") is not None
        # What uvicorn has written before is sent by its transport.
        or transport.get_write_buffer_size()
    ):
        return None
    try:
        return duplicate(connection.fileno(), connection.family)
    except OSError:
        return None  # there are no descriptors left


# What becomes of a transport without a connection interests nobody.
_NOBODY = asyncio.Protocol()
