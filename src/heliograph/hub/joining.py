"""Joining: from a client's first bytes to the feed of its selection."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING

from ..channels.joined import JoinedBlocks
from ..logs import Logger
from .catch_up import CatchUp, id_at_heads

if TYPE_CHECKING:
    from ..channels.opening import Opening
    from ..channels.position import Positions
    from ..config import HubConfig
    from .channel_table import ChannelTable
    from .feeds import Feeds
    from .sinks import Sink
    from .statistics import Counters
    from .storage import Storage
    from .subscriber import Subscriber
    from .tasks import Tasks

__all__ = ["Joining"]

_log = Logger("heliograph.hub")


class Joining:
    """
    Writes to clients what they missed, up to the heads. An observer of subscribers.

    Args:
        table: The channels, with their heads and logs.
        feeds: The feeds that clients follow in the end.
        storage: Entries that the logs no longer hold are read from it.
        tasks: Runs a task for each client that has missed something.
        opening: How clients are told their position.
        config: Limits and timings.
        counters: Gap events are counted here.
    """

    def __init__(
        self,
        table: ChannelTable,
        feeds: Feeds,
        storage: Storage,
        tasks: Tasks,
        *,
        opening: Opening,
        config: HubConfig,
        counters: Counters,
    ) -> None:
        self._table = table
        self._feeds = feeds
        self._storage = storage
        self._tasks = tasks
        self._opening = opening
        self._config = config
        self._counters = counters
        self._pages = JoinedBlocks()
        self._under_way: dict[Subscriber, asyncio.Task[None]] = {}

    async def locate(self, subscriber: Subscriber, seconds: float) -> bool:
        """
        Wait for the position of a client, before it is sent its head.

        A page relies on getting whatever is published after ``open``. If the position is
        not known in time, the stream begins with the heads of the moment in which it is.

        Args:
            subscriber: An admitted subscriber.
            seconds: How long to wait at most.

        Returns:
            Whether there is something to serve: :obj:`False` if all channels have ended and
            the client gets nothing of them. Storage has confirmed that.
        """
        if self.locate_at_once(subscriber):
            return True
        await self._table.known(subscriber.channels, seconds)
        if self.locate_at_once(subscriber):
            return True
        heads = self._table.heads(subscriber.channels)
        if heads is None:
            return True
        # All have ended. If storage does not answer in time the client gets a stream, which
        # ends.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if await self._catch_up_of(subscriber).is_over():
                    return False
        if subscriber.last_event_id is None:
            subscriber.last_event_id = id_at_heads(subscriber, self._table, heads)
        return True

    def locate_at_once(self, subscriber: Subscriber) -> bool:
        """
        Do what :meth:`locate` does, if there is nothing to wait for.

        Args:
            subscriber: An admitted subscriber.

        Returns:
            Whether that is done, and there is something to serve.
        """
        if not subscriber.is_open:
            return True
        heads = self._table.heads(subscriber.channels)
        if heads is None or self._table.have_ended(subscriber.channels):
            return False
        if subscriber.last_event_id is None:
            subscriber.last_event_id = id_at_heads(subscriber, self._table, heads)
        return True

    def begin(self, subscriber: Subscriber, sink: Sink) -> None:
        """
        Serve a client from now on. Its first bytes are written before this returns.

        Args:
            subscriber: A subscriber that was admitted and has not begun.
            sink: How bytes reach the client.
        """
        expires_at = subscriber.expires_at
        expires_in = None if expires_at is None else expires_at - time.time()
        first = b"" if subscriber.is_greeted else self.greet(subscriber)
        heads = self._table.heads(subscriber.channels)
        is_at_heads = heads is not None and self._is_at(subscriber, heads)
        if heads is not None and is_at_heads:
            # Together with the greeting: each write costs as much as all of this.
            opening = self._opening.block(heads, resumed=subscriber.resumes)
            first += subscriber.selection.coding.code((opening,))
        subscriber.begin(sink, first, expires_in)
        if not subscriber.is_open:
            return  # the client has left already, or its server stops
        if is_at_heads:
            # The usual case needs no task: a page that was just opened missed nothing.
            self._join(subscriber, heads)
            return
        self._feeds.expect(subscriber)
        self._under_way[subscriber] = self._tasks.start(self._catch_up(subscriber))

    def _is_at(self, subscriber: Subscriber, heads: Positions) -> bool:
        """Return whether a client is given nothing before what comes next."""
        if self._table.has_end_in(subscriber.channels):
            return False  # storage has to confirm that
        if subscriber.last_event_id is not None:
            return subscriber.last_event_id == heads.id
        begins = id_at_heads(subscriber, self._table, heads)
        return begins is not None and not heads.replayed

    def _catch_up_of(self, subscriber: Subscriber) -> CatchUp:
        return CatchUp(
            subscriber,
            self._table,
            self._storage,
            opening=self._opening,
            counters=self._counters,
            pages=self._pages,
        )

    def greet(self, subscriber: Subscriber) -> bytes:
        """
        Return the first bytes of a stream: a comment, and a reconnection time of its own.

        These lines are no block of their own. Several clients dispatch an empty message for
        a block without data (see :mod:`heliograph.channels.opening`), and a reconnection
        time counts from the end of its line (WHATWG HTML section 9.2.6).

        Args:
            subscriber: Was admitted, and is greeted from now on.

        Returns:
            The lines, compressed as the stream is.
        """
        subscriber.is_greeted = True
        spread = random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, guards nothing
        lines = b":\nretry: %d\n" % int(self._config.retry_ms * spread)
        coding = subscriber.selection.coding
        return coding.prologue + coding.code((lines,))

    def on_left(self, subscriber: Subscriber) -> None:
        """Cancel the task of a subscriber that has left."""
        task = self._under_way.pop(subscriber, None)
        if task is not None:
            task.cancel()

    async def _catch_up(self, subscriber: Subscriber) -> None:
        catch_up = self._catch_up_of(subscriber)
        try:
            await catch_up.advance()
            catch_up.finish()
        except Exception:  # noqa: BLE001 - the boundary of a task
            self._on_fault(subscriber)
        else:
            self._join(subscriber, self._table.heads(subscriber.channels))
        self._under_way.pop(subscriber, None)

    def _join(self, subscriber: Subscriber, heads: Positions | None) -> None:
        if not subscriber.is_open:
            return  # the last write has failed
        try:
            assert heads is not None  # noqa: S101 - all are known by now
            self._feeds.join(subscriber, heads)
            if self._table.have_ended(subscriber.channels):
                subscriber.finish("its channels have ended")
        except Exception:  # noqa: BLE001 - one stream's fault must not reach others
            self._on_fault(subscriber)

    def _on_fault(self, subscriber: Subscriber) -> None:
        # The client would wait for ever. When its stream ends it reconnects.
        _log.exception("cannot serve a stream of %s", subscriber.channels)
        subscriber.finish("a fault, which is logged")
