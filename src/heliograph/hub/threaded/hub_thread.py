"""
The hub for synchronous programs.

Nothing starts before it is needed, so an application may be imported in a gunicorn
master that never serves anything.

No call holds a lock while it waits for the loop. A signal handler, a ``__del__`` or a
tracing function may interrupt it anywhere and publish by itself, and would wait for ever
for a lock that its own thread holds. So the hub is opened and closed on the loop, where
nothing else runs at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from typing import TYPE_CHECKING, TypeVar

from ...brokers import without_password
from ...errors import BrokerUnavailableError, HubClosedError, TooManySubscribersError
from ...wire.framing import Framing
from ..hub import open_hub
from ..interface import Leave
from ..timings import DEFAULT_TIMINGS, Timings
from . import endings, process, streams
from .loop import CLOSE_SECONDS, ask, is_at_hand, post, run
from .verbs import ThreadVerbs

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator

    from ...config import HubConfig
    from ..hub import Hub
    from ..interface import Adapter, Admission, Ticket
    from .calls import Outcome

__all__ = ["HubThread"]

_Result = TypeVar("_Result")


class HubThread(ThreadVerbs):
    """
    A hub that is used from other threads than its own. See :class:`.StreamHub`.

    Args:
        url: Where the channels live. See :func:`heliograph.brokers.open_broker`.
        config: Limits and timings.
        timings: Other than those of every hub.
        recycled_after: See :class:`.Recycling`.
    """

    def __init__(
        self,
        url: str,
        config: HubConfig,
        *,
        timings: Timings = DEFAULT_TIMINGS,
        recycled_after: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.url = url
        self.config = config
        self._timings = timings
        self._recycled_after = recycled_after
        # Changed on the loop only. Other threads read the first.
        self._hub: Hub | None = None
        self._opening: asyncio.Task[Hub] | None = None
        self._closed_at = 0
        # Closes the hub of a program that has dropped this object without closing it.
        self._dropped: weakref.finalize[..., HubThread] | None = None
        process.add_opener(self)

    def admit(self, admission: Admission) -> Ticket:
        """
        Reserve a slot for a client. See :meth:`.clients.Clients.admit`.

        Args:
            admission: The stream that the client may open.

        Returns:
            A ticket, for :meth:`adopt`, :meth:`pull` or :meth:`release`.

        Raises:
            TooManySubscribersError: A cap is reached.
            HubClosedError: The process is about to end, or has no time to answer.
        """
        hub = self._opened()
        ticket, is_certain = hub.expect(admission)
        try:
            if is_certain:
                # Far from all caps, which is usual, nobody waits for the loop: the thread
                # goes on to hand the connection over, and the loop does both in this order.
                post(_admit, hub, ticket, admission)
                return ticket
            return ask(lambda: hub.admit_as(ticket, admission), self._timings.admit_seconds)
        except BaseException as error:
            # A caller that goes no further, for lack of time or by an exception (that of
            # Ctrl+C, a time-out of gevent), gives back the slot that it is never told of.
            post(hub.release, ticket)
            if isinstance(error, TimeoutError):
                raise HubClosedError("the hub does not answer") from error
            raise

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
        hub = process.hub_of(ticket.hub)
        if hub is None:
            # Closed since: a browser reconnects after a head, and not without.
            with connection, contextlib.suppress(OSError):
                connection.send(head + framing.end)
            return
        post(hub.adopt, ticket, connection, head, framing)

    def when_left(self, ticket: Ticket, function: Callable[[Leave], None]) -> None:
        """
        Call a function when a client's stream has ended. Returns at once.

        Args:
            ticket: From :meth:`admit`.
            function: Called once, in a thread of its own kind, without the context of a
                request. It may block, and may raise: that is logged. When the process ends,
                it has five seconds.
        """
        left = [Leave(0.0, None)]
        has_left = endings.expect(lambda: function(left[-1]))

        def on_left(leave: Leave) -> None:
            left.append(leave)
            has_left()

        hub = process.hub_of(ticket.hub)
        if hub is None:
            has_left()
        else:
            post(hub.when_left, ticket, on_left)

    def locate(self, ticket: Ticket) -> bool:
        """
        Wait for a client's position, and return whether there is something to serve.

        See :meth:`.clients.Clients.locate`.

        Args:
            ticket: From :meth:`admit`, and for :meth:`pull`: :meth:`adopt` does it.
        """
        hub = process.hub_of(ticket.hub)
        # If the hub has been closed, the stream ends as soon as it is served.
        if hub is not None:
            with contextlib.suppress(HubClosedError, TimeoutError):
                return run(hub.locate(ticket), self._timings.admit_seconds)
        return True

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
        hub = process.hub_of(ticket.hub)
        if hub is not None:
            yield from streams.pull(
                hub,
                ticket,
                descriptor,
                adapter=adapter,
                is_stopping=is_stopping,
                timings=self._timings,
            )

    def release(self, ticket: Ticket) -> None:
        """
        Release the slot of a client that is not going to be served.

        Args:
            ticket: From :meth:`admit`; one that has left is left alone.
        """
        # May be called by the garbage collector, at any moment: no lock, no opening. In a
        # child the ticket of a parent's client names no hub.
        hub = process.hub_of(ticket.hub)
        if hub is not None:
            post(hub.release, ticket)

    def close(self) -> None:
        """
        Finish the streams of this process and close the broker. Reopens when used.

        Raises:
            BrokerUnavailableError: Storage has not finished what had begun within five
                seconds, as an SQLite file that another program keeps locked. The hub
                continues to close.
        """
        if self._hub is None and self._opening is None:
            return
        try:
            # At the end of the process all hubs have been closed.
            with contextlib.suppress(HubClosedError):
                run(process.completed(self._close()), CLOSE_SECONDS)
        except TimeoutError as error:
            raise BrokerUnavailableError(
                without_password(self.url),
                f"what had begun has not ended {CLOSE_SECONDS:g} seconds after the hub was"
                " told to close",
            ) from error

    def _get(self, function: Callable[[Hub], Outcome[_Result]]) -> _Result:
        if process.is_forking_here():
            # The fork holds what storage would need, and begins when this returns.
            raise BrokerUnavailableError(
                without_password(self.url),
                "called by a signal handler or a hook of a fork in a thread that is forking"
                " the process: publish after the fork",
            )
        hub = self._opened()
        is_over = False

        def begin() -> Outcome[_Result]:
            if is_over:
                raise HubClosedError("nobody waits for the answer any more")
            return function(hub)

        try:
            return ask(begin, self.config.publish_timeout_seconds)
        except TimeoutError as error:
            raise BrokerUnavailableError(
                without_password(self.url),
                f"no answer within {self.config.publish_timeout_seconds} seconds, which"
                " publish_timeout_seconds sets",
            ) from error
        finally:
            # What a busy loop has not begun by now it never will: the caller may try again.
            is_over = True

    def _at_hand(self) -> Hub | None:
        if process.is_forking_here() or not is_at_hand():
            return None
        return self._hub

    def _opened(self) -> Hub:
        hub = self._hub
        if hub is not None:
            return hub
        try:
            return run(self._opened_once(), self._timings.open_seconds)
        except TimeoutError as error:
            raise HubClosedError("the hub does not answer") from error

    # On the loop.

    async def _opened_once(self) -> Hub:
        if self._hub is not None:
            return self._hub
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            # If all who waited have given up, nobody else asks how it went.
            self._opening.add_done_callback(_retrieve)
        opening = self._opening
        try:
            # Shielded: others wait for it, too.
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled():
                raise HubClosedError("it was closed while it was being opened") from None
            raise

    async def _open(self) -> Hub:
        try:
            hub = await open_hub(
                self.url,
                self.config,
                previous_closed_at=self._closed_at,
                timings=self._timings,
                recycled_after=self._recycled_after,
            )
        finally:
            self._opening = None
        process.add_hub(hub)
        self._hub = hub
        self._dropped = weakref.finalize(self, post, process.close_hub_soon, hub)
        # At the end of the process all hubs are closed, dropped or not.
        self._dropped.atexit = False
        return hub

    async def _close(self) -> None:
        if self._opening is not None:
            # Storage that does not answer may take longer than a close does.
            self._opening.cancel()
            await asyncio.wait({self._opening})
        hub, self._hub = self._hub, None
        if hub is None:
            return
        self._closed_at = time.monotonic_ns()
        if self._dropped is not None:
            self._dropped.detach()
        await process.close_hub_soon(hub)

    def forget_parent(self) -> Iterable[object]:
        """Begin anew: after a fork, in the child. See :class:`.process.Opener`."""
        inherited = (self._hub, self._opening)
        if self._dropped is not None:
            self._dropped.detach()
        self._hub = self._opening = self._dropped = None
        return inherited


def _admit(hub: Hub, ticket: Ticket, admission: Admission) -> None:
    # Descriptors may be used up meanwhile, the last slot be given to a client that has
    # overtaken this one, or the hub be closed. Then the stream ends as it begins, and the
    # client is refused when it reconnects.
    with contextlib.suppress(TooManySubscribersError, HubClosedError):
        hub.admit_as(ticket, admission)


def _retrieve(opening: asyncio.Task[Hub]) -> None:
    if not opening.cancelled():
        opening.exception()
