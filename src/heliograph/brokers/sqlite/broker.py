"""
The asynchronous half of the SQLite broker.

Two threads, each with a connection of its own: one commits batches of appends
(:mod:`.appends`), one reads and follows what is new.

Listeners are given the entries of all processes in the order of the file (:mod:`.news`).
Those of other processes are read after a ring that names a channel listened to. What this
process has committed is handed on at once if nothing of another process is in between, and
is read like the others if not.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ...errors import BrokerUnavailableError, ConfigError
from ...logs import Logger
from ..base import Broker, Listener
from ..inspection import Inspectable, Inspection
from ..once import OnceLog
from ..values import PLAIN, History, Retained
from .appends import Appends
from .changes import Changes
from .connection import Connection
from .doorbell import Doorbell, UntrustedBellsError, ring
from .inspection import inspecting
from .news import News, Restart
from .private_files import PRIVATE
from .reading import Reader
from .restored import HighestSeq
from .rows import is_text
from .sweeping import Sweeper
from .timings import DEFAULT_TIMINGS, SqliteTimings
from .worker import Worker
from .writing import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from ...channels.entry import Entry
    from ...channels.position import Position
    from ...event import Event
    from ..values import Attempt, RetentionPolicy, Terms
    from .batch import Append, Outcome
    from .rows import ChannelState

__all__ = ["SqliteBroker", "SqliteTimings"]

_log = Logger("heliograph.brokers.sqlite")

_Result = TypeVar("_Result")

# Calls that wait for the thread that reads. Many clients may come at once.
_CALLS_AT_ONCE = 8

# After so many rings for other channels the file is read all the same, so that what is to
# be skipped never delays an event.
_RINGS_UNREAD_AT_MOST = 64

# A listener may have many feeds to append to; it is given so many entries in one step.
_ENTRIES_BETWEEN_YIELDS = 16


class SqliteBroker(Broker, Inspectable):
    """
    A broker in an SQLite file.

    A publish that returned survives kill -9 of any process. The last moments before a
    loss of power may be lost; the file stays whole.

    Args:
        path: The file. Its folder must exist, and nobody but its owner and its group may
            write to it.
        retention: How much is kept of each channel.
        clock: Returns seconds since the epoch of Unix.
        mode: The rights that the file and those beside it give. With
            0660 the members of its group publish and listen, too.
        timings: How often and how long the broker waits.
    """

    def __init__(
        self,
        path: str | Path,
        retention: RetentionPolicy,
        *,
        clock: Callable[[], float] = time.time,
        mode: int = PRIVATE,
        timings: SqliteTimings = DEFAULT_TIMINGS,
    ) -> None:
        self._path = Path(path).absolute()
        self._is_relative = not Path(path).is_absolute()
        self.resource = str(self._path)
        self._bells = Path(f"{self._path}-bells")
        self._mode = mode
        self._timings = timings
        self._writing = self._new_connection()
        self._reading = self._new_connection()
        highest, once = HighestSeq(self._path), OnceLog(_log)
        self._writer = Writer(self._writing, retention, clock, highest, once)
        self._reader = Reader(self._reading, once)
        self._news = News(self._reading, highest, once)
        self._sweeper = Sweeper(
            self._writing,
            retention,
            clock,
            is_listened_to=self._news.is_listened_to,
            sweep_seconds=timings.sweep_seconds,
        )
        self._appends = Appends(self._store)
        # Whether the file is to be read, and whether there is something to hand on.
        self._rung = asyncio.Event()
        self._arrived = asyncio.Event()
        self._bell: Doorbell | None = None
        # How often it has rung for other channels since it was last read for a ring.
        self._rings_unread = 0
        self._mend_bell_at = 0.0
        self._is_warned_of_bells = False
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False
        self._asking = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._changes = Changes(self._change, self._on_state, self._closed_error)

    async def open(self, listener: Listener) -> None:
        """
        Start the two threads on the running loop, and make the file if that is possible.

        Args:
            listener: Called with new entries of the channels listened to.

        Raises:
            ConfigError: The file cannot be trusted (:mod:`.trust`) or used
                (:mod:`.failures`), and that will not pass.
        """
        self._listener = listener
        self._write_thread = Worker("heliograph-sqlite-write", self._writing.close)
        self._read_thread = Worker("heliograph-sqlite-read", self._reading.close)
        try:
            await self._read_thread.run(self._reading.check)
        except BaseException:
            self._write_thread.close()
            self._read_thread.close()
            raise
        _log.info(
            "events are stored in %s%s, with -wal and -shm of SQLite beside it; processes"
            " that share it wake each other through %s",
            self._path,
            f" (relative to the current folder, {Path.cwd()})" if self._is_relative else "",
            self._bells,
        )
        self._hang_bell()
        self._tasks = [
            asyncio.create_task(self._follow()),
            asyncio.create_task(self._deliver()),
            asyncio.create_task(self._sweep()),
        ]

    async def close(self) -> None:
        """Finish the appends that have begun, then release everything."""
        self._closed = True
        await self._appends.close()
        await self._changes.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._take_bell_down()
        await self._write_thread.run(self._writing.close)
        await self._read_thread.run(self._reading.close)
        self._write_thread.close()
        self._read_thread.close()

    async def append(
        self,
        channel: str,
        event: Event,
        *,
        terms: Terms = PLAIN,
        repeats: Attempt | None = None,  # noqa: ARG002 - what failed was rolled back
    ) -> Entry:
        """Store an event as the next of its channel."""
        if self._closed:
            raise self._closed_error()
        if terms is not PLAIN:
            for key in (terms.retain_as, terms.idempotency_key):
                # What SQLite does not take would fail all appends of its transaction.
                (key or "").encode()
        return await self._appends.add(channel, event, terms)

    async def read(self, channel: str, after: Position | None, limit: int) -> History:
        """Return what follows a position."""
        return await self._ask(self._reader.read, channel, after, limit)

    async def find(self, channel: str, event_id: str) -> Position | None:
        """Return the position of the one entry with a publisher's own id."""
        if not is_text(event_id):
            return None
        return await self._ask(self._reader.find, channel, event_id)

    async def retained(self, channel: str, after: int, limit: int) -> Retained:
        """Return retained entries."""
        return await self._ask(self._reader.retained, channel, after, limit)

    async def retained_as(self, channel: str, key: str) -> Entry | None:
        """Return the retained entry that has a key."""
        if not is_text(key):
            return None
        return await self._ask(self._reader.retained_as, channel, key)

    async def forget(self, channel: str, key: str) -> None:
        """Retain an entry no longer."""
        if self._closed:
            raise self._closed_error()
        if is_text(key):
            await self._write_thread.run(self._writer.forget, channel, key)

    async def begin(self, channel: str) -> Position:
        """Begin a new life of a channel, whether it has ended or not."""
        if self._closed:
            raise self._closed_error()
        return await self._write_thread.run(self._writer.begin, channel)

    def listen(self, channel: str) -> asyncio.Future[Position]:
        """Hand new entries of a channel to the listener from now on."""
        return self._changes.listen(channel)

    def unlisten(self, channel: str) -> None:
        """Stop handing new entries of a channel to the listener."""
        self._changes.unlisten(channel)

    def inspect(self) -> AbstractAsyncContextManager[Inspection]:
        """Return a context in which the file can be inspected; it is not made."""
        return inspecting(self._path, mode=self._mode)

    def _new_connection(self) -> Connection:
        return Connection(
            self._path,
            mode=self._mode,
            lock_timeout_seconds=self._timings.lock_timeout_seconds,
        )

    async def _change(
        self, changes: Sequence[tuple[str, bool]]
    ) -> list[ChannelState | None]:
        return await self._ask(self._news.change, changes)

    def _on_state(self, channel: str, state: ChannelState) -> None:
        if state.has_ended or state.has_retained:
            self._listener.on_state(
                channel, has_ended=state.has_ended, has_retained=state.has_retained
            )

    def _closed_error(self) -> BrokerUnavailableError:
        return BrokerUnavailableError(self.resource, "the broker has been closed")

    async def _ask(self, function: Callable[..., _Result], *args: object) -> _Result:
        # Limit queued reads of clients, so that they cannot delay polling for new entries.
        async with self._asking:
            return await self._read_thread.run(function, *args)

    async def _store(self, batch: Sequence[Append]) -> list[Outcome]:
        own_bell = None if self._bell is None else self._bell.name
        outcomes, is_fresh = await self._write_thread.run(
            self._store_and_ring, batch, own_bell
        )
        (self._arrived if is_fresh else self._rung).set()
        return outcomes

    def _store_and_ring(
        self, batch: Sequence[Append], own_bell: str | None
    ) -> tuple[list[Outcome], bool]:
        commit = self._writer.append(batch)
        is_fresh = not commit.entries
        if is_fresh:
            return commit.outcomes, is_fresh
        try:
            is_fresh = self._news.offer(commit)
            channels = (entry.channel for entry in commit.entries)
            ring(self._bells, self._mode, channels, but=own_bell)
        except Exception:  # noqa: BLE001 - logged; the reason follows
            # The events are stored: for an error, publishers would store them again.
            _log.exception("cannot tell listeners of new events in %s", self._path)
        return commit.outcomes, is_fresh

    async def _follow(self) -> None:
        available = True
        while True:
            try:
                await self._wait_for_ring()
                await self._hand_on_news()
            except (BrokerUnavailableError, ConfigError) as error:
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
        while True:
            # Before more is read, so that memory is bounded.
            await self._hand_on()
            if not await self._read_thread.run(self._news.read):
                return

    async def _deliver(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                await self._hand_on()
            except Exception:  # noqa: BLE001 - the boundary of a task, as above
                _log.exception("cannot hand on events of %s", self._path)

    async def _hand_on(self) -> None:
        # Two tasks may do this at a time. What one takes it hands on in the same step.
        while taken := self._news.take(_ENTRIES_BETWEEN_YIELDS):
            wanted: list[Entry] = []
            for one in taken:
                if not self._changes.is_wanted(one.channel):
                    continue
                if isinstance(one, Restart):
                    if wanted:
                        self._listener.on_entries(wanted)
                    wanted = []
                    self._listener.on_restart(one.channel, one.start, gap=one.gap)
                else:
                    wanted.append(one)
            if wanted:
                self._listener.on_entries(wanted)
            await asyncio.sleep(0)

    async def _wait_for_ring(self) -> None:
        poll = (
            self._timings.poll_without_bell_seconds
            if self._bell is None
            else self._timings.poll_with_bell_seconds
        )
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
        self._mend_bell_at = now + self._timings.poll_with_bell_seconds
        if self._bell is not None and not self._bell.is_hung():
            self._take_bell_down()
        if self._bell is None:
            self._hang_bell()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._timings.sweep_seconds)
            try:
                while await self._write_thread.run(self._sweeper.sweep):
                    pass
                await self._read_thread.run(self._news.read_forgotten)
                self._arrived.set()
            except (BrokerUnavailableError, ConfigError) as error:
                _log.warning("cannot remove old events, trying again: %s", error)
            except Exception:  # noqa: BLE001 - the boundary of a task: history would only grow
                _log.exception("cannot remove old events, trying again")

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
        channels = self._bell.take_rings()
        self._rings_unread += 1
        if (
            channels is None
            or any(map(self._changes.is_wanted, channels))
            or self._news.watches_all
            or self._rings_unread >= _RINGS_UNREAD_AT_MOST
        ):
            self._rings_unread = 0
            self._rung.set()
