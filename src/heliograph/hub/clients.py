"""
The clients of a hub, by the tickets that faces hold.

A ticket is a value. Calls with a ticket whose client has finished or left do nothing. A
ticket can be used for one connection or sink: a second one is closed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..channels.blocks import HEARTBEAT
from ..logs import Logger
from ..wire.framing import Framing
from .interface import Leave, Ticket
from .sinks.sink import end_stream
from .subscriber import State
from .traced import TracedSubscriber

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from ..wire.coding import Coding
    from .admission import AdmissionControl
    from .connections import Connections
    from .control import Control
    from .interface import Admission
    from .joining import Joining
    from .sinks import Sink
    from .stop_watch import StopWatch
    from .subscriber import Observer, Subscriber

__all__ = ["Clients"]

_log = Logger("heliograph.hub")


class Clients:
    """
    Admits and serves clients, by calls to the rooms that do it. An observer of subscribers.

    Args:
        hub: The number of the hub, for its tickets.
        admission: Makes subscribers, within the limits.
        control: Knows which channels were disconnected.
        joining: Serves subscribers that have a sink.
        connections: Makes a sink of a connection.
        stop_watch: Finishes streams whose server wants to stop.
        heads_seconds: How long a client waits for its position before its head is sent.
        observers: The observers of every subscriber.

    Attributes:
        is_finishing: Whether streams finish as they begin.
    """

    def __init__(
        self,
        hub: int,
        *,
        admission: AdmissionControl,
        control: Control,
        joining: Joining,
        connections: Connections,
        stop_watch: StopWatch,
        heads_seconds: float,
        observers: Sequence[Observer],
    ) -> None:
        self._hub = hub
        self._admission = admission
        self._control = control
        self._joining = joining
        self._connections = connections
        self._stop_watch = stop_watch
        self._heads_seconds = heads_seconds
        self._observers = (*observers, self)
        # By the number of a client.
        self._when_left: dict[int, list[Callable[[Leave], None]]] = {}
        self.is_finishing = False

    def __len__(self) -> int:
        return len(self._admission)

    def finish_all(self) -> None:
        """Finish all streams, and others as they begin."""
        self.is_finishing = True
        for subscriber in tuple(self._admission):
            subscriber.finish("the hub is closed")

    def admit(self, admission: Admission) -> Ticket:
        """
        Reserve a slot for a client, before it is served.

        Args:
            admission: The stream that the client may open.

        Returns:
            A ticket, for :meth:`adopt`, :meth:`attach` or :meth:`release`. If the process
            is about to end the stream finishes as it begins, and the client reconnects by
            itself: after an error it would not.

        Raises:
            TooManySubscribersError: A cap is reached.
        """
        return self.admit_as(self._admission.new_number(), admission)

    def expect(self, admission: Admission) -> tuple[Ticket, bool]:
        """
        Return a ticket for a client, and whether it may count on it. For any thread.

        Args:
            admission: The stream that the client may open.

        Returns:
            A ticket, of which :meth:`admit_as` must be told the number, whatever happens;
            and False if a cap may be reached. See :meth:`.AdmissionControl.is_certain`.
        """
        number = self._admission.new_number()
        is_certain = self._admission.is_certain(number, admission)
        at_address = self._admission.streams_at(admission.address) + 1
        return Ticket(self._hub, number, at_address, len(self) + 1), is_certain

    def admit_as(self, number: int, admission: Admission) -> Ticket:
        """
        Reserve a slot for a client whose number is known. See :meth:`admit`.

        Args:
            number: Of the ticket from :meth:`expect`.
            admission: What that was called with.
        """
        subscriber, at_address = self._admission.admit(number, admission, self._observers)
        arrived_at = admission.arrived_at
        if self.is_finishing or (
            arrived_at is not None
            and self._control.has_revoked(arrived_at, admission.channels)
        ):
            # The client reconnects, to another process, or to be authorised again.
            subscriber.finish("the hub is closed, or a channel was disconnected meanwhile")
        return Ticket(self._hub, subscriber.number, at_address, len(self))

    async def locate(self, ticket: Ticket) -> bool:
        """
        Wait for the position of a client, before it is sent its head.

        A page relies on getting whatever is published after ``open``. If the position is
        not known within ``heads_seconds``, the stream begins with the heads of the moment
        in which it is.

        Args:
            ticket: From :meth:`admit`.

        Returns:
            Whether there is something to serve: :obj:`False` if all channels have ended and
            the client gets nothing of them. A response with the status 204 tells an
            ``EventSource`` not to reconnect (WHATWG HTML section 9.2.3).
        """
        subscriber = self._admission.find(ticket.number)
        return subscriber is None or await self._joining.locate(
            subscriber, self._heads_seconds
        )

    def greeting(self, ticket: Ticket, coding: Coding) -> bytes:
        """
        Return the first bytes of a client's stream, for a caller that sends them itself.

        Args:
            ticket: From :meth:`admit`, before :meth:`attach`, which does not send them
                then.
            coding: The content coding of the stream, as its head says.
        """
        subscriber = self._admission.find(ticket.number)
        if subscriber is None:
            # A stream that has finished needs no greeting: it ends after any comment.
            return coding.prologue + coding.code((HEARTBEAT,))
        return self._joining.greet(subscriber)

    def adopt(
        self,
        ticket: Ticket,
        connection: socket.socket,
        head: bytes,
        framing: Framing = Framing.IDENTITY,
    ) -> None:
        """
        Serve a client over a connection of its own from now on.

        Args:
            ticket: From :meth:`admit`.
            connection: The client's connection. The hub owns it from now on, and closes
                it if it cannot be served.
            head: Bytes to send first.
            framing: How the blocks of the stream are delimited, as the head says.
        """
        subscriber = self._admission.find(ticket.number)
        is_located = subscriber is None or self._joining.locate_at_once(subscriber)
        self._connections.adopt(
            connection,
            head,
            framing,
            before_head=None if is_located else lambda: self.locate(ticket),
            on_open=lambda sink: self.attach(ticket, sink),
            on_failed=lambda: self._give_back(ticket),
        )

    def when_left(self, ticket: Ticket, function: Callable[[Leave], None]) -> None:
        """
        Call a function when a client has left, or its stream finishes: at once if it has.

        Args:
            ticket: From :meth:`admit`.
            function: Called once, on the loop: it must not block. The position is known if
                the admission is traced.
        """
        if self._admission.find(ticket.number) is None:
            function(Leave(0.0, None))
        else:
            self._when_left.setdefault(ticket.number, []).append(function)

    def on_left(self, subscriber: Subscriber) -> None:
        """Call the functions of a client that has left."""
        functions = self._when_left.pop(subscriber.number, None)
        if functions is None:
            return
        seconds = asyncio.get_running_loop().time() - subscriber.admitted_at
        reached = subscriber.reached if isinstance(subscriber, TracedSubscriber) else None
        leave = Leave(seconds, reached)
        for function in functions:
            function(leave)

    def attach(self, ticket: Ticket, sink: Sink) -> None:
        """
        Serve a client from now on. Its first bytes are written before this returns.

        Args:
            ticket: From :meth:`admit`.
            sink: How bytes reach the client. Closed if the client has left, or the ticket
                was used before.
        """
        subscriber = self._admission.find(ticket.number)
        if subscriber is None:
            end_stream(sink)
        elif subscriber.state is not State.ADMITTED:
            _log.error("%r was used twice: the second stream is ended", ticket)
            end_stream(sink)
        else:
            self._joining.begin(subscriber, sink)

    def finish(self, ticket: Ticket) -> None:
        """
        End a client's stream after what was published before.

        Args:
            ticket: From :meth:`admit`.
        """
        subscriber = self._admission.find(ticket.number)
        if subscriber is not None:
            subscriber.finish()

    def finish_when(self, ticket: Ticket, is_stopping: Callable[[], bool]) -> None:
        """
        Finish a client's stream when its server wants to stop, if that has to be asked.

        Args:
            ticket: From :meth:`admit`.
            is_stopping: Returns whether the server wants to stop. Called several times a
                second, once for all streams whose callables are equal.
        """
        subscriber = self._admission.find(ticket.number)
        if subscriber is not None:
            self._stop_watch.watch(subscriber, is_stopping)

    def release(self, ticket: Ticket) -> None:
        """
        Release the slot of a client that has left, or is not going to be served.

        Args:
            ticket: From :meth:`admit`. Its stream ends at once, if it has begun.
        """
        subscriber = self._admission.find(ticket.number)
        if subscriber is not None:
            subscriber.drop("its client, its server or its program has ended it")

    def _give_back(self, ticket: Ticket) -> None:
        # The connection could not be opened. A subscriber that has begun has another one.
        subscriber = self._admission.find(ticket.number)
        if subscriber is not None and subscriber.state is State.ADMITTED:
            subscriber.drop("its connection cannot be used")
