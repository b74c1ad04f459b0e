"""
Channels in an SQLite file that all processes of a machine share: the default broker.

Two threads, each with a connection of its own: one commits batches of appends, one reads
and follows what is new. Appends that arrive while a commit is under way make up the next
batch, so the rate of commits stays what the disk can do while their size grows.

All listeners, the publisher's own process included, learn of entries in the same way:
by reading the file after a ring. There is no second path whose order could differ.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ...channels.position import Position
from ...errors import BrokerUnavailableError
from ..base import Broker, History, Listener, Retention
from .doorbell import Doorbell, UntrustedBellsError, ring
from .private_files import PRIVATE
from .store import SqliteStore
from .worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...channels.entry import Entry
    from ...event import Event
    from ..base import Attempt

__all__ = ["SqliteBroker"]

_log = logging.getLogger("heliograph.brokers.sqlite")

_Result = TypeVar("_Result")

# Calls that wait for the thread that reads. Many clients may come at once.
_CALLS_AT_ONCE = 8

# Channels that are listened to, or no longer, in one call: some milliseconds.
_CHANGES_AT_ONCE = 256

# How often to look without being rung. With a doorbell it only makes up for a ring that
# was lost; without one it is the latency of events from other processes.
_POLL_WITH_BELL_SECONDS = 1.0
_POLL_WITHOUT_BELL_SECONDS = 0.05

# A listener may have many feeds to append to; it is given so many entries in one step.
_ENTRIES_BETWEEN_YIELDS = 16

# How often each process removes what is too old although nobody publishes.
_SWEEP_SECONDS = 60.0


def _settle(
    begun: asyncio.Future[Position], position: Position | BrokerUnavailableError
) -> None:
    if isinstance(position, Position):
        begun.set_result(position)
    else:
        begun.set_exception(position)


class SqliteBroker(Broker):
    """
    A broker in an SQLite file.

    A publish that returned survives kill -9 of any process. The last moments before a
    loss of power may be lost; the file stays whole.

    Args:
        path: The file. Its folder must exist, and nobody but its owner and its group may
            write to it.
        retention: How much history is kept per channel.
        clock: Returns seconds since the epoch of Unix.
        mode: The rights that the file gives, and those that SQLite puts beside it. With
            0660 the members of its group publish and listen, too.
    """

    def __init__(
        self,
        path: str | Path,
        retention: Retention,
        *,
        clock: Callable[[], float] = time.time,
        mode: int = PRIVATE,
    ) -> None:
        self._path = Path(path).absolute()
        self.resource = str(self._path)
        self._bells = Path(f"{self._path}-bells")
        self._mode = mode
        self._writer_store = SqliteStore(self._path, retention, clock, mode=mode)
        self._reader_store = SqliteStore(self._path, retention, clock, mode=mode)
        self._pending: list[tuple[str, Event, asyncio.Future[Entry]]] = []
        self._committing: asyncio.Task[None] | None = None
        self._rung = asyncio.Event()
        self._bell: Doorbell | None = None
        self._mend_bell_at = 0.0
        self._is_warned_of_bells = False
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False
        self._asking = asyncio.Semaphore(_CALLS_AT_ONCE)
        # What is to be listened to, with who waits for it, or no longer, in order.
        self._changes: deque[tuple[str, asyncio.Future[Position] | None]] = deque()
        self._changing: asyncio.Task[None] | None = None

    async def open(self, listener: Listener) -> None:
        """
        Begin to work on the running loop. The file is made if that is possible.

        Raises:
            ConfigError: The file cannot be trusted (:mod:`.private_files`).
        """
        self._listener = listener
        self._writer = Worker("heliograph-sqlite-write", self._writer_store.close)
        self._reader = Worker("heliograph-sqlite-read", self._reader_store.close)
        try:
            await self._reader.run(self._reader_store.check)
        except OSError:
            # The first call tries again and reports it: it may pass.
            pass
        except BaseException:
            self._writer.close()
            self._reader.close()
            raise
        self._hang_bell()
        self._tasks = [
            asyncio.create_task(self._follow()),
            asyncio.create_task(self._sweep()),
        ]

    async def close(self) -> None:
        """Finish the appends that have begun, then release everything."""
        self._closed = True
        if self._committing is not None:
            await self._committing
        if self._changing is not None:
            await self._changing
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._take_bell_down()
        await self._writer.run(self._writer_store.close)
        await self._reader.run(self._reader_store.close)
        self._writer.close()
        self._reader.close()

    async def append(
        self,
        channel: str,
        event: Event,
        *,
        repeats: Attempt | None = None,  # noqa: ARG002 - what failed was rolled back
    ) -> Entry:
        """Store an event as the next of its channel."""
        if self._closed:
            raise self._closed_error()
        future = asyncio.get_running_loop().create_future()
        self._pending.append((channel, event, future))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())
        entry: Entry = await future
        return entry

    async def read(self, channel: str, after: Position | None, limit: int) -> History:
        """Give what follows a position."""
        return await self._ask(self._reader_store.read, channel, after, limit)

    async def find(self, channel: str, event_id: str) -> Position | None:
        """Return the position of the one entry with a publisher's own id."""
        try:
            event_id.encode()
        except UnicodeEncodeError:
            return None  # a lone surrogate, which no event has and SQLite does not take
        return await self._ask(self._reader_store.find, channel, event_id)

    def listen(self, channel: str) -> asyncio.Future[Position]:
        """Hand new entries of a channel to the listener from now on."""
        begun: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        if self._closed:
            begun.set_exception(self._closed_error())
        else:
            self._change(channel, begun)
        return begun

    def unlisten(self, channel: str) -> None:
        """Stop that. Entries under way may still come."""
        self._change(channel, None)

    def _change(self, channel: str, begun: asyncio.Future[Position] | None) -> None:
        self._changes.append((channel, begun))
        if self._changing is None:
            self._changing = asyncio.create_task(
                self._change_all(), context=contextvars.Context()
            )

    async def _change_all(self) -> None:
        while self._changes:
            if self._closed:
                self._fail_changes()
                break
            count = min(len(self._changes), _CHANGES_AT_ONCE)
            changes = [self._changes.popleft() for _ in range(count)]
            # What was cancelled before its turn is like what is no longer listened to.
            asked = [
                (name, begun is not None and not begun.cancelled())
                for name, begun in changes
            ]
            try:
                positions = await self._ask(self._reader_store.change, asked)
            except Exception as error:  # noqa: BLE001 - all that wait get it
                for _, begun in changes:
                    if begun is not None and not begun.done():
                        begun.set_exception(error)
                continue
            # Undo only what is the last that was asked for a channel in this batch: what
            # came after it in the same batch has been done, and is wanted.
            last = dict(changes)
            for (name, begun), position in zip(changes, positions, strict=True):
                if begun is None or position is None:
                    continue
                if not begun.cancelled():
                    _settle(begun, position)
                elif last[name] is begun:
                    # Cancelled since: undone before whatever was asked for after it.
                    self._changes.appendleft((name, None))
        self._changing = None

    def _fail_changes(self) -> None:
        for _, begun in self._changes:
            if begun is not None and not begun.done():
                begun.set_exception(self._closed_error())
        self._changes.clear()

    def _closed_error(self) -> BrokerUnavailableError:
        return BrokerUnavailableError(self.resource, "the broker has been closed")

    async def _ask(self, function: Callable[..., _Result], *args: object) -> _Result:
        # Limit queued reads of clients, so that they cannot delay polling for new entries.
        async with self._asking:
            return await self._reader.run(function, *args)

    async def _commit(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            try:
                entries = await self._writer.run(self._store_and_ring, batch)
            except Exception as error:  # noqa: BLE001 - every publisher of the batch gets it
                for _, _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            self._rung.set()
            for (_, _, future), entry in zip(batch, entries, strict=True):
                if not future.done():
                    future.set_result(entry)
        self._committing = None

    def _store_and_ring(
        self, batch: list[tuple[str, Event, asyncio.Future[Entry]]]
    ) -> list[Entry]:
        entries = self._writer_store.append(
            [(channel, event) for channel, event, _ in batch]
        )
        ring(self._bells, self._mode)
        return entries

    async def _follow(self) -> None:
        available = True
        while True:
            try:
                await self._wait_for_ring()
                await self._hand_on_news()
            except BrokerUnavailableError as error:
                if available:
                    _log.warning("cannot read events, trying again: %s", error)
                available = False
            except Exception:  # noqa: BLE001 - logged; the reason follows
                # The boundary of a task: without this the process would be deaf.
                _log.exception("cannot follow %s, trying again", self._path)
            else:
                if not available:
                    _log.warning("reading events again: %s", self._path)
                available = True

    async def _hand_on_news(self) -> None:
        while entries := await self._reader.run(self._reader_store.news):
            for first in range(0, len(entries), _ENTRIES_BETWEEN_YIELDS):
                self._listener.on_entries(entries[first : first + _ENTRIES_BETWEEN_YIELDS])
                await asyncio.sleep(0)

    async def _wait_for_ring(self) -> None:
        poll = _POLL_WITHOUT_BELL_SECONDS if self._bell is None else _POLL_WITH_BELL_SECONDS
        try:
            async with asyncio.timeout(poll):
                await self._rung.wait()
        except TimeoutError:
            self._mend_bell()
        self._rung.clear()

    def _mend_bell(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._mend_bell_at:
            return
        self._mend_bell_at = now + _POLL_WITH_BELL_SECONDS
        if self._bell is not None and not self._bell.is_hung():
            self._take_bell_down()
        if self._bell is None:
            self._hang_bell()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                while await self._writer.run(self._writer_store.sweep):
                    pass
            except BrokerUnavailableError as error:
                _log.warning("cannot remove old events, trying again: %s", error)

    def _hang_bell(self) -> None:
        try:
            self._bell = Doorbell(self._bells, self._mode)
        except UntrustedBellsError as error:
            # Once: it is tried again each second.
            level = logging.DEBUG if self._is_warned_of_bells else logging.WARNING
            self._is_warned_of_bells = True
            _log.log(level, "polling without doorbells: %s", error)
            return
        except OSError as error:
            _log.debug("no doorbell beside %s, polling: %s", self._path, error)
            return
        asyncio.get_running_loop().add_reader(self._bell.fileno(), self._on_ring)

    def _take_bell_down(self) -> None:
        if self._bell is not None:
            asyncio.get_running_loop().remove_reader(self._bell.fileno())
            self._bell.close()
            self._bell = None

    def _on_ring(self) -> None:
        assert self._bell is not None  # noqa: S101 - only a bell that hangs can ring
        self._bell.silence()
        self._rung.set()
