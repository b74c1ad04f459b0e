"""
One client, from its admission until it has left.

A subscriber is a state machine and the only writer of its client's bytes::

    ADMITTED ──begin──> JOINING ──follow──> FOLLOWING
        │                  │                    │
        └──────────────────┴──── finish ────────┴──> FINISHING ──> GONE
                    drop, or the client leaves: at once ────────────^

What ends a stream (a command, a server that stops, a limit, a timer) calls
:meth:`Subscriber.finish` or :meth:`Subscriber.drop` and knows nothing else. Each room that
keeps something for a subscriber is an :class:`Observer`: it is called once, when the
subscriber finishes, is dropped or loses its client. From then on the subscriber takes no
slot and nothing more is written for it.

A fault of one sink ends one stream. No method that writes raises.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeVar

from ..channels.blocks import HEARTBEAT
from ..channels.selection import Selection
from ..channels.start import RETAINED
from ..logs import Logger
from ..wire.coding import Coding
from .sinks.sink import end_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..channels.cursor import Cursor
    from ..channels.feed import Feed
    from ..channels.position import Positions
    from ..channels.start import Start
    from .sinks import Sink

__all__ = ["Observer", "State", "Subscriber"]

_log = Logger("heliograph.hub")
_streams_log = Logger("heliograph.streams")

_Kept = TypeVar("_Kept")

# A timer must not keep the request in which it was set.
_NO_CONTEXT = contextvars.Context()


class State(Enum):
    """What a subscriber is doing."""

    ADMITTED = "admitted"
    """It has a slot, and no sink yet."""
    JOINING = "joining"
    """The client is sent what it missed, up to the heads of its channels."""
    FOLLOWING = "following"
    """It has a cursor in the feed of its selection."""
    FINISHING = "finishing"
    """All has been written, and the sink may still be sending it."""
    GONE = "gone"
    """Nothing more is sent to the client."""


# A tuple: it compares identities, and a set asks each member for its hash.
_OPEN = (State.ADMITTED, State.JOINING, State.FOLLOWING)


class Observer(Protocol):
    """A room that keeps something for a subscriber."""

    def on_left(self, subscriber: Subscriber) -> None:
        """
        Release what is kept for a subscriber. Called once for each, on the hub's loop.

        If it raises, that is logged, and the other observers are called all the same.

        Args:
            subscriber: A subscriber that has just left, or finishes. It has no cursor.
        """
        ...


class Subscriber:
    """
    One client. Used on the hub's loop only.

    Args:
        number: The number of the subscriber, unique in its hub.
        channels: The channels of the stream, sorted, each once.
        last_event_id: The client's position, as an id; :obj:`None` if it has none.
        start: Where the stream begins if it has no position.
        coding: The content coding of the stream.
        address: The client's address; :obj:`None` if it is not known.
        expires_at: When the stream finishes, in seconds since the epoch of Unix;
            :obj:`None` for no end.
        admitted_at: When the client was admitted, in the loop's time.
        observers: Called when the subscriber finishes or has left.
        last_words: Returns what the client is sent when the stream finishes: lines of no
            block, perhaps none.

    Attributes:
        selection: The channels, the content coding, and the framing that the sink needs.
        resumes: Whether the client has sent an id.
        last_event_id: The id after which the stream begins; :obj:`None` for a stream
            without a position, until that is known, and when it follows.
        start: Where the stream begins if it has no position.
        state: What the subscriber is doing. Only the methods below change it.
        feed: The feed of the selection, while the subscriber follows it.
        cursor: The subscriber's cursor in that feed.
        sink: How bytes reach the client; :obj:`None` before the stream begins.
        page_bytes: How many bytes of storage are held for this client alone.
        is_greeted: Whether the first block is its caller's to send, or was sent.
        quiet_since: When it was last written to while it joins, in the loop's time.
    """

    is_flushed_with_others = True
    """Whether writing to it is all that a flush has to do."""

    __slots__ = (
        "_drained",
        "_expiry",
        "_last_words",
        "_observers",
        "address",
        "admitted_at",
        "cursor",
        "expires_at",
        "feed",
        "is_greeted",
        "last_event_id",
        "number",
        "page_bytes",
        "quiet_since",
        "resumes",
        "selection",
        "sink",
        "start",
        "state",
    )

    def __init__(
        self,
        number: int,
        channels: tuple[str, ...],
        last_event_id: str | None,
        *,
        start: Start = RETAINED,
        coding: Coding = Coding.IDENTITY,
        address: str | None,
        expires_at: float | None,
        admitted_at: float,
        observers: Sequence[Observer],
        last_words: Callable[[], bytes] = bytes,
    ) -> None:
        self.number = number
        self.selection = Selection(channels, coding=coding)
        self.last_event_id = last_event_id
        self.resumes = last_event_id is not None
        self.start = start
        self.address = address
        self.expires_at = expires_at
        self.admitted_at = admitted_at
        self.state = State.ADMITTED
        self.feed: Feed | None = None
        self.cursor: Cursor | None = None
        self.page_bytes = 0
        self.is_greeted = False
        self.quiet_since = 0.0
        self._observers = observers
        self._last_words = last_words
        self.sink: Sink | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of its stream, sorted."""
        return self.selection.channels

    @property
    def is_open(self) -> bool:
        """Whether it has a slot: it has not begun to finish, and has not left."""
        return self.state in _OPEN

    @property
    def unsent_bytes(self) -> int:
        """How many bytes this process holds for this client alone."""
        return self.page_bytes + (0 if self.sink is None else self.sink.unsent_bytes)

    # Transitions.

    def begin(self, sink: Sink, greeting: bytes, expires_in: float | None) -> None:
        """
        Serve the client from now on: ``ADMITTED`` to ``JOINING``.

        The first bytes are written before this returns, so that the browser's ``open``
        fires and proxies let the head pass.

        Args:
            sink: How bytes reach the client.
            greeting: The first bytes, compressed as the stream is; empty if they were sent
                by another way.
            expires_in: Seconds until the stream finishes; :obj:`None` for no end.
        """
        assert self.state is State.ADMITTED, self.state  # noqa: S101 - our invariant
        loop = asyncio.get_running_loop()
        self.state = State.JOINING
        self.selection = self.selection._replace(framing=sink.framing)
        self.sink = sink
        try:
            sink.attach(self)
        except Exception:  # noqa: BLE001 - logged; one stream's fault must not reach others
            _log.exception("cannot begin a stream of %s", self.channels)
            self.drop()
        if not self.is_open:
            return  # the client has left, or its server stops
        if expires_in is not None:
            self._expiry = loop.call_later(
                max(0.0, expires_in), self.finish, "its time is over", context=_NO_CONTEXT
            )
        self.quiet_since = loop.time()
        if greeting:
            self._write(self.selection.framing.frame(greeting))

    def give(self, *blocks: bytes) -> None:
        """
        Write what the client missed, while it joins.

        Args:
            blocks: Whole blocks, perhaps none.
        """
        if blocks and self.state is State.JOINING:
            self.quiet_since = asyncio.get_running_loop().time()
            self._write(self.selection.wrap(blocks))

    def note(self, positions: Positions) -> None:
        """Ignore the position up to which it was given. See :mod:`.traced`."""

    def follow(self, feed: Feed) -> None:
        """
        Take every block that a feed carries from now on: ``JOINING`` to ``FOLLOWING``.

        Args:
            feed: Of its selection. Its positions are those of the client.
        """
        assert self.state is State.JOINING, self.state  # noqa: S101 - our invariant
        self.state = State.FOLLOWING
        # There are many who follow and few who join: what is equal is shared, and what is
        # of the past is dropped.
        self.selection = feed.selection
        self.last_event_id = None
        self.quiet_since = 0.0
        self.feed = feed
        self.cursor = feed.join()

    def finish(self, reason: str = "its server stops") -> None:
        """
        End the stream after what was published before.

        A client that has not caught up is given the rest when it resumes. Finishing twice
        is the same as once.

        Args:
            reason: Why, for the log.
        """
        if not self.is_open:
            return
        self.flush(is_alone=True, even_if_paused=True)
        sink, words = self.sink, self._last_words()
        if words and sink is not None and self.is_open:
            self._write(self.selection.wrap((words,)))
        if sink is None or not self.is_open:
            self._leave(State.GONE, reason)
            return
        self._leave(State.FINISHING, reason)
        try:
            end_stream(sink)
        except Exception:  # noqa: BLE001 - logged; one stream's fault must not reach others
            _log.exception("cannot end a stream of %s", self.channels)
            self.drop()

    def drop(self, reason: str = "a fault, which is logged") -> None:
        """
        End the stream at once. Dropping twice is the same as once.

        Args:
            reason: Why, for the log.
        """
        if self.state is State.GONE:
            return
        sink = self.sink
        self._leave(State.GONE, reason)
        if sink is None:
            return
        try:
            sink.abort()
        except Exception:  # noqa: BLE001 - logged; one stream's fault must not reach others
            _log.exception("cannot end a stream of %s", self.channels)

    def on_lost(self) -> None:
        """Release everything: the client has left. Calling it twice is the same as once."""
        self._leave(State.GONE, "the client has left")

    def on_resumed(self) -> None:
        """Write what is behind the cursor: the sink was paused, and is ready for more."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self.flush(is_alone=True)

    def on_silent(self) -> None:
        """Write a heartbeat: the sink needs something to write, and has nothing."""
        if self.is_open and self.sink is not None and not self._is_paused():
            if self.cursor is not None and self.feed is not None:
                self.feed.interrupt(self.cursor)
            self._write(self.selection.wrap((HEARTBEAT,)))

    # What is written.

    def flush(self, *, is_alone: bool = False, even_if_paused: bool = False) -> int:
        """
        Write what is behind the cursor, unless the client is slower than that.

        Args:
            is_alone: Whether no pass over the feed follows, which would drop the blocks
                that all have taken and what was joined for them.
            even_if_paused: Whether to write it to a client that is.

        Returns:
            How many bytes the client has yet to be given.
        """
        cursor, feed, sink = self.cursor, self.feed, self.sink
        if cursor is None or feed is None or sink is None:
            return 0
        # Called for each event and subscriber: one try for all that may fail.
        try:
            if not even_if_paused and sink.paused:
                return feed.lag_bytes(cursor)
            if data := feed.take(cursor):
                sink.write(data)
                if is_alone:
                    feed.trim()
        except Exception:  # noqa: BLE001 - logged; one stream's fault must not reach others
            _log.exception("cannot send to a stream of %s", self.channels)
            self.drop()
        return 0

    def beat(self, now: float, silence_seconds: float) -> None:
        """
        Write a heartbeat, if the client has been joining in silence.

        Args:
            now: The loop's time.
            silence_seconds: For how long.
        """
        is_due = now - self.quiet_since >= silence_seconds
        if is_due and self.sink is not None and not self._is_paused():
            self.give(HEARTBEAT)

    async def drained(self) -> None:
        """Wait until the client has taken most of what it was given."""
        while self._is_paused() and self.is_open:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def _is_paused(self) -> bool:
        sink = self.sink
        try:
            return sink is not None and sink.paused
        except Exception:  # noqa: BLE001 - logged; one stream's fault must not reach others
            _log.exception("cannot look at a stream of %s", self.channels)
            self.drop()
            return True

    def _write(self, data: bytes) -> None:
        sink = self.sink
        assert sink is not None  # noqa: S101 - it has begun
        try:
            sink.write(data)
        except Exception:  # noqa: BLE001 - logged; one stream's fault must not reach others
            _log.exception("cannot send to a stream of %s", self.channels)
            self.drop()

    def _leave(self, state: State, reason: str) -> None:
        if self.state is State.GONE:
            return
        was_open = self.is_open
        self.state = state
        if not was_open:
            return
        if _streams_log.isEnabledFor(logging.DEBUG):
            channels = list(self.channels)
            _streams_log.debug("stream %d of %r ends: %s", self.number, channels, reason)
        if self._expiry is not None:
            self._expiry.cancel()
        cursor, feed = self.cursor, self.feed
        self.cursor = None
        if cursor is not None and feed is not None:
            self._let_go(feed.leave, cursor)
        for observer in self._observers:
            self._let_go(observer.on_left, self)

    def _let_go(self, function: Callable[[_Kept], None], kept: _Kept) -> None:
        try:
            function(kept)
        except Exception:  # noqa: BLE001 - logged; the others have to let go all the same
            _log.exception("cannot let go of a stream of %s", self.channels)
