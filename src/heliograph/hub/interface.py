"""
What a face asks of its hub: a few calls that carry values.

No object of the hub's loop is in a worker's hands. So the hub may run in another thread, as
:class:`.HubThread` does, or in another process, to which a descriptor can be passed. What
:meth:`StreamHub.pull` takes beside the ticket stays with the thread that iterates: it is of
the server, and only bytes come from the hub.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Protocol

from ..brokers.values import PLAIN, Terms
from ..channels.start import RETAINED, Start
from ..wire.coding import Coding
from ..wire.framing import Framing

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from ..channels.entry import Entry
    from ..config import HubConfig
    from ..event import Event
    from .statistics import HubStatistics

__all__ = ["Adapter", "Admission", "Leave", "StreamHub", "Subscribed", "Ticket"]


@dataclass(frozen=True, slots=True)
class Admission:
    """
    A stream that a client may open.

    Args:
        channels: The channels, sorted, each once, all valid.
        last_event_id: The id after which the stream resumes; :obj:`None` if it has no
            position.
        start: Where the stream begins if it has no position.
        coding: The content coding of the stream.
        expires_at: When the permission expires, and the stream finishes at the latest, in
            seconds since the epoch of Unix; :obj:`None` for no end but that of
            ``max_stream_seconds``.
        address: The client's address; :obj:`None` if it is not known.
        arrived_at: When the request arrived, a result of :func:`time.monotonic_ns`: if one
            of the channels has been disconnected since, the stream finishes as it begins,
            and the client reconnects and is authorised again. :obj:`None` if that does not
            matter.
        is_program: Whether a program of this process takes the events: it has no
            connection, and no end.
        is_traced: Whether :attr:`Leave.last_event_id` is wanted when the client leaves.
    """

    channels: tuple[str, ...]
    _: KW_ONLY
    last_event_id: str | None = None
    start: Start = RETAINED
    coding: Coding = Coding.IDENTITY
    expires_at: float | None = None
    address: str | None = None
    arrived_at: int | None = None
    is_program: bool = False
    is_traced: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """
    The end of a client's stream.

    Attributes:
        seconds: The time since the client was admitted; 0 if it got no stream.
        last_event_id: The id with which a stream of the same channels resumes after what
            was written to the client. Its last part may not have arrived. :obj:`None` if
            nothing was written and the client has not sent an id.
    """

    seconds: float
    last_event_id: str | None


@dataclass(frozen=True, slots=True)
class Ticket:
    """
    A client that was admitted, and can be served once.

    Attributes:
        hub: Number of the hub that has admitted it, unique in the process.
        number: Number of the client, unique in the hub.
        at_address: How many streams the hub has for the client's address, this one
            included.
        in_process: How many streams the hub has, this one included.
    """

    hub: int
    number: int
    at_address: int
    in_process: int = 1


class Adapter(Protocol):
    """A client's connection that belongs to something between us and its server."""

    def tune(self, config: HubConfig) -> None:
        """Make it prompt, bounded, and aware of a peer that has died."""
        ...

    def watch(self, on_left: Callable[[], None]) -> None:
        """Have something called, once, when the client has left."""
        ...

    def abort(self) -> None:
        """End it."""
        ...


class Subscribed(Protocol):
    """The events of some channels, for a thread. See :class:`.ThreadSubscription`."""

    @property
    def last_event_id(self) -> str:
        """The id with which to subscribe again, to resume after the last event."""
        ...

    @property
    def opening_id(self) -> str:
        """The id of the position at which the iteration began, before its first event."""
        ...

    def close(self) -> None:
        """End the iteration."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def __iter__(self) -> Iterator[Event]: ...

    def __next__(self) -> Event: ...


class StreamHub(Protocol):
    """
    A hub as a synchronous face uses it.

    Attributes:
        url: Where the channels live.
        config: Limits and timings.
    """

    url: str
    config: HubConfig

    def publish(
        self, channels: Sequence[str], event: Event, terms: Terms = PLAIN
    ) -> list[Entry]:
        """Store an event in each of some channels. See :class:`.HubThread`."""
        ...

    def end(self, channel: str, event: Event | None, terms: Terms) -> str:
        """End a channel. See :meth:`.ChannelState.end`."""
        ...

    def begin(self, channel: str) -> str:
        """Begin a new life of a channel. See :meth:`.ChannelState.begin`."""
        ...

    def forget(self, channels: tuple[str, ...], key: str) -> None:
        """Retain an event no longer. See :meth:`.ChannelState.forget`."""
        ...

    def position(self, channels: tuple[str, ...]) -> str:
        """Return the id after what was published. See :meth:`.ChannelState.position`."""
        ...

    def last(self, channel: str, key: str | None) -> Event | None:
        """Return the newest or a retained event. See :meth:`.ChannelState.last`."""
        ...

    def history(self, channel: str, after: str | None, limit: int) -> list[Event]:
        """Return a page of history. See :meth:`.ChannelState.history`."""
        ...

    def subscribe(
        self,
        channels: tuple[str, ...],
        *,
        last_event_id: str | None = None,
        start: Start = RETAINED,
        timeout: float | None = None,
        is_stopping: Callable[[], bool] | None = None,
    ) -> Subscribed:
        """Return the events of some channels. See :class:`.ThreadSubscription`."""
        ...

    def disconnect(self, channel: str) -> None:
        """Finish a channel's streams in every process. See :class:`.HubThread`."""
        ...

    def statistics(self) -> HubStatistics:
        """Return what the hub of this process holds and has done."""
        ...

    def admit(self, admission: Admission) -> Ticket:
        """Reserve a slot for a client. See :meth:`.clients.Clients.admit`."""
        ...

    def adopt(
        self,
        ticket: Ticket,
        connection: socket.socket,
        head: bytes,
        framing: Framing = Framing.IDENTITY,
    ) -> None:
        """
        Serve a client over its own connection from now on. Returns at once.

        Args:
            ticket: From :meth:`admit`.
            connection: The hub's from now on, whatever happens.
            head: Bytes to send first.
            framing: How the blocks of the stream are delimited, as the head says.
        """
        ...

    def when_left(self, ticket: Ticket, function: Callable[[Leave], None]) -> None:
        """
        Call a function when a client's stream has ended. Returns at once.

        Args:
            ticket: From :meth:`admit`.
            function: Called once, in a thread that may block; an exception is logged.
                Several of one client are called in no order.
        """
        ...

    def locate(self, ticket: Ticket) -> bool:
        """
        Wait for a client's position, and return whether there is anything to serve.

        See :meth:`.clients.Clients.locate`.

        Args:
            ticket: From :meth:`admit`, and for :meth:`pull`; :meth:`adopt` does it.
        """
        ...

    def pull(
        self,
        ticket: Ticket,
        descriptor: int | None,
        adapter: Adapter | None = None,
        is_stopping: Callable[[], bool] | None = None,
    ) -> Iterator[bytes]:
        """
        Serve a client from the thread that iterates.

        Args:
            ticket: From :meth:`admit`. The slot is given back when the iterator is closed.
            descriptor: Of the client's connection. See :class:`.sinks.PullSink`.
            adapter: Another way to it. Without either the stream ends after five minutes.
            is_stopping: See :meth:`.clients.Clients.finish_when`.

        Yields:
            Whole blocks; a comment after silence.
        """
        ...

    def release(self, ticket: Ticket) -> None:
        """
        Release the slot of a client that is not going to be served.

        May be called by the garbage collector, at any moment and more than once.

        Args:
            ticket: From :meth:`admit`; one that has left is left alone.
        """
        ...
