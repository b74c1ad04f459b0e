"""The events of some channels, for a program."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from ..channels.end import END_EVENT_TYPE
from ..channels.opening import OPEN_EVENT_TYPE
from ..channels.start import RETAINED
from ..errors import HubClosedError
from ..wire.parser import EventStreamParser
from .interface import Admission
from .sinks import TaskSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..channels.start import Start
    from ..event import Event
    from .interface import Ticket
    from .sinks import Sink

__all__ = ["Subscription"]


class _Hub(Protocol):
    """What is needed of a hub."""

    def admit(self, admission: Admission) -> Ticket: ...

    def attach(self, ticket: Ticket, sink: Sink) -> None: ...

    def finish_when(self, ticket: Ticket, is_stopping: Callable[[], bool]) -> None: ...

    def release(self, ticket: Ticket) -> None: ...


class Subscription:
    """
    An asynchronous iterator over events, as a client would see them.

    If the program is too slow it is disconnected and resumes from its position, as a client
    does: no more than ``max_lag_bytes`` are held for it, and no event is lost. A gap in a
    channel's history is an event of the type ``heliograph.gap``. The iteration ends when
    the hub is closed, the server stops, the streams of a channel are finished
    (``disconnect``), or all channels have ended.

    Args:
        hub: Is open.
        channels: Sorted, each once, all valid.
        last_event_id: After which to begin; :obj:`None` for no position.
        start: Where to begin without a position.
        is_stopping: Returns whether the server of this process was told to stop;
            :obj:`None` if that is not known.

    Attributes:
        last_event_id: The id with which to subscribe again, to resume after the last event
            that was returned.
        opening_id: The id of the position at which the iteration began, before its first
            event; ``""`` before it is known, or without ``open_event``.
    """

    def __init__(
        self,
        hub: _Hub,
        channels: tuple[str, ...],
        last_event_id: str | None,
        *,
        start: Start = RETAINED,
        is_stopping: Callable[[], bool] | None = None,
    ) -> None:
        self.last_event_id = last_event_id or ""
        self.opening_id = ""
        self._hub = hub
        self._channels = channels
        self._start = start
        self._is_stopping = is_stopping
        # When it was disconnected for its lag: a later ``disconnect`` of a channel ends it.
        self._cut_off_at: int | None = None
        self._events: deque[Event] = deque()
        self._has_left = False
        self._joined_after: str | None = None
        self._join(last_event_id)

    async def locate(self) -> None:
        """Wait until the position is known: no later event can be missed."""
        while not self._parser.last_event_id and await self._pull():
            pass
        if not self._events:
            self.last_event_id = self._parser.last_event_id

    def leave(self) -> None:
        """Release the slot. Iterating is over."""
        self._has_left = True
        self._hub.release(self._ticket)
        self._sink.abort()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        """
        Return the next event.

        Raises:
            TooManySubscribersError: The program was too slow, and its slot was taken.
        """
        while not self._events:
            if not await self._pull():
                raise StopAsyncIteration
        event = self._events.popleft()
        if event.id:
            self.last_event_id = event.id
        return event

    async def take(self, seconds: float | None) -> list[Event]:
        """
        Wait for events, and return all that have come.

        Args:
            seconds: How long to wait at most; :obj:`None` for ever.

        Returns:
            The next events; none if nothing has come in time, or if nothing comes any more.

        Raises:
            TooManySubscribersError: As for iterating.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._events and await self._pull():
                    pass
        events = list(self._events)
        self._events.clear()
        return events

    def _join(self, last_event_id: str | None) -> None:
        admission = Admission(
            self._channels,
            # Empty if it was disconnected before it had a position.
            last_event_id=last_event_id or None,
            start=self._start,
            is_program=True,
            arrived_at=self._cut_off_at,
        )
        ticket = self._hub.admit(admission)
        self._joined_after = last_event_id
        # Only now: a caller that was refused can try again from the same position.
        # Without a limit: what arrives is what a publisher was allowed to publish, perhaps
        # one in another process with a larger max_event_bytes.
        self._parser = EventStreamParser(max_event_bytes=sys.maxsize)
        self._ticket = ticket
        self._sink = TaskSink(on_aborted=self._on_cut_off)
        self._hub.attach(ticket, self._sink)
        if self._is_stopping is not None:
            self._hub.finish_when(ticket, self._is_stopping)

    def _on_cut_off(self) -> None:
        self._cut_off_at = time.monotonic_ns()

    async def _pull(self) -> bool:
        """Parse the next bytes, and return whether there may be more."""
        data = await self._sink.pull()
        if data is not None:
            for event in self._parser.feed(data):
                # A program has ``opening_id``, and sees that nothing follows.
                if event.type == OPEN_EVENT_TYPE:
                    self.opening_id = self.opening_id or event.id or ""
                elif event.type != END_EVENT_TYPE:
                    self._events.append(event)
            return True
        if self._sink.closed or self._has_left:
            return False
        # The program was too slow: it resumes, as a client does, for the rest.
        try:
            # From where it joined, if it was disconnected before it was told a position.
            self._join(self._parser.last_event_id or self._joined_after)
        except HubClosedError:
            return False
        return True
