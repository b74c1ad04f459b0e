"""
One channel that is listened to: messages and what is read, joined without holes.

Pub/sub is only the wake-up and the fast path. Each message carries its offset. Whenever
that is not the next one, or a connection was made anew, the channel *catches up*: what is
missing is read from storage, and messages wait for that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from ...channels.position import Position
from ...errors import BrokerUnavailableError
from ...logs import Logger
from ...retry import Backoff
from .availability import unavailable_errors
from .seen import Seen
from .tasks import cancel
from .values import DAMAGED, load_message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..base import Listener
    from ..once import OnceLog
    from .exchange import Exchange
    from .storage import Page, Storage
    from .timings import Timings
    from .values import Stored

__all__ = ["ListenedChannel"]

_log = Logger("heliograph.brokers.redis")

# Entries read at once when something was missed.
_PAGE = 500

# A listener may have many feeds to append to; it is given so many entries in one step.
_ENTRIES_BETWEEN_YIELDS = 16

# Messages that may wait for a channel that is catching up; what comes beyond is read.
_MAX_EARLY = 500

# Messages of ours that are still expected on a plain channel.
_MAX_TWINS = 100


class ListenedChannel:
    """
    A channel that is listened to.

    Args:
        name: The channel's name.
        resource: The address, as errors show it.
        storage: Where what is missing is read.
        listener: Given the entries.
        exchange: Reads messages of the plain channel.
        once: Logs which messages were skipped.
        timings: How long to wait.

    Attributes:
        confirmed: Set once Redis has confirmed the subscription.
        seen: What identifies the entry that was handed on last; :obj:`None` until the
            first answer of Redis.
    """

    def __init__(
        self,
        name: str,
        resource: str,
        *,
        storage: Storage,
        listener: Listener,
        exchange: Exchange,
        once: OnceLog,
        timings: Timings,
    ) -> None:
        self.name = name
        self.confirmed = asyncio.Event()
        self.seen: Seen | None = None
        self._resource = resource
        self._storage = storage
        self._listener = listener
        self._exchange = exchange
        self._once = once
        self._timings = timings
        # Set until `seen` is known; afterwards while something may be missing.
        self._catching_up: asyncio.Task[None] | None = None
        # Messages that wait for that task, and whether it has to read once more.
        self._early: list[Stored] = []
        self._again = False
        # Messages still arrive while the broker is closed. A task that one of them began
        # would never be ended.
        self._ended = False
        # What has arrived with its offset, and will arrive again on the plain channel.
        self._twins: deque[bytes] = deque(maxlen=_MAX_TWINS)

    @property
    def is_catching_up(self) -> bool:
        """Whether a task reads what is missing."""
        return self._catching_up is not None

    def begin(self, subscribe: Callable[[], Awaitable[None]]) -> asyncio.Future[Position]:
        """
        Subscribe, then hand on every entry after the head.

        Args:
            subscribe: Subscribes to the channel's pub/sub channels.

        Returns:
            The head. It fails with :class:`BrokerUnavailableError` if Redis cannot be
            reached, or if the channel is ended first.
        """
        ready: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self._catching_up = asyncio.create_task(self._begin(subscribe, ready))
        return ready

    async def end(self) -> None:
        """Stop catching up, and ignore messages from now on."""
        self._ended = True
        await cancel(self._catching_up)

    def catch_up(self) -> asyncio.Task[None]:
        """Read what may be missing; return the task that does it."""
        self._again = True
        if self._catching_up is None:
            self._catching_up = asyncio.create_task(self._bring_up())
        return self._catching_up

    def on_subscribed(self) -> None:
        """Read what was published before a subscription, once the head is known."""
        if self._ended:
            return
        self._twins.clear()
        if self.confirmed.is_set():
            self.catch_up()
        self.confirmed.set()

    def on_message(self, data: bytes) -> None:
        """
        Hand on an entry if it is the next one.

        Args:
            data: A message of our own pub/sub channel.
        """
        if self._ended:
            return
        try:
            stored, has_twin = load_message(self.name, data)
        except DAMAGED as error:
            self._log_skipped(error)
            return
        twin = self._exchange.dump(self.name, stored.entry.event) if has_twin else None
        if twin is not None:
            self._twins.append(twin.encode())
        if self._catching_up is None:
            self._take(stored)
        elif len(self._early) < _MAX_EARLY:
            self._early.append(stored)
        else:
            self._again = True

    def on_plain_message(self, data: bytes) -> None:
        """
        Hand on an event of a program that knows nothing of Heliograph.

        Args:
            data: A message of the plain channel.
        """
        if self._ended:
            return
        if data in self._twins:
            # It has arrived already, with its offset. Twins before it were lost.
            while self._twins.popleft() != data:
                pass
            return
        try:
            event = self._exchange.load(data)
        except DAMAGED as error:
            self._log_skipped(error)
            return
        self._listener.on_passing(self.name, event)

    def _log_skipped(self, error: Exception) -> None:
        self._once.skipped(self.name, "a message that is none of ours", str(error))

    async def _begin(
        self,
        subscribe: Callable[[], Awaitable[None]],
        ready: asyncio.Future[Position],
    ) -> None:
        try:
            with unavailable_errors(self._resource):
                await subscribe()
                # If the head were read before Redis has confirmed, what is published
                # between the two would be missed.
                await self._until_confirmed()
            page = await self._storage.read(self.name, None, 0, listens=True)
            self.seen = page.head
            if not ready.done():
                has_ended, has_retained = page.history.has_ended, page.has_retained
                if has_ended or has_retained:
                    self._listener.on_state(
                        self.name, has_ended=has_ended, has_retained=has_retained
                    )
                ready.set_result(self.seen.position)
        except Exception as error:  # noqa: BLE001 - handed to the caller, which logs a fault
            if not ready.done():
                ready.set_exception(error)
            return
        finally:
            if not ready.done():
                # Cancelled: whoever waits must learn of it, too.
                ready.set_exception(BrokerUnavailableError(self._resource, "closed"))
        await self._bring_up()

    async def _until_confirmed(self) -> None:
        seconds = self._timings.subscribe_seconds
        try:
            async with asyncio.timeout(seconds):
                await self.confirmed.wait()
        except TimeoutError as error:
            raise TimeoutError(
                f"Redis has not confirmed a subscription within {seconds:g} seconds"
            ) from error

    async def _bring_up(self) -> None:
        backoff = self._new_backoff()
        while True:
            try:
                if self._again:
                    self._again = False
                    await self._read_on()
                early, self._early = self._early, []
                for stored in early:
                    self._take(stored)
            except Exception:  # noqa: BLE001 - logged; the reason follows
                # The boundary of a task: without this the channel would stay silent.
                _log.exception("channel %r: cannot catch up, trying again", self.name)
                self._again = True
                await asyncio.sleep(backoff.next_seconds())
            if not self._again:
                # No await since the last look: the next message either is the next entry,
                # or begins a new task.
                self._catching_up = None
                return

    def _new_backoff(self) -> Backoff:
        seconds = self._timings.catch_up_retry_seconds
        return Backoff(first_seconds=seconds, longest_seconds=seconds)

    async def _read_on(self) -> None:
        backoff = self._new_backoff()
        while True:
            seen = self.seen
            assert seen is not None  # noqa: S101 - set before anything can be missing
            after = seen.position
            try:
                async with self._storage.paging:
                    page = await self._storage.read(
                        self.name, after, _PAGE, seen, listens=True
                    )
                    is_last = await self._take_page(page, after)
            except BrokerUnavailableError as error:
                _log.debug("channel %r: %s", self.name, error)
                await asyncio.sleep(backoff.next_seconds())
                continue
            if is_last:
                return

    async def _take_page(self, page: Page, after: Position) -> bool:
        """Hand on a page that was read after a position; return whether it was the last."""
        start, head = page.history.start, page.history.head
        if start.epoch != after.epoch:
            gap = page.history.gap is not None
            self._listener.on_restart(self.name, start, gap=gap)
        if start != after:
            # Without a token: no entry at this position was read. Its time is before now.
            self.seen = Seen(start, "", page.head.at)
        for first in range(0, len(page.entries), _ENTRIES_BETWEEN_YIELDS):
            # Messages that arrive meanwhile wait for this task.
            self._hand_on(page.entries[first : first + _ENTRIES_BETWEEN_YIELDS])
            await asyncio.sleep(0)
        at_end = self.seen is not None and self.seen.position == head
        return at_end or (start == after and not page.entries)

    def _take(self, stored: Stored) -> None:
        assert self.seen is not None  # noqa: S101 - messages wait until it is known
        position, before = stored.entry.position, self.seen.position
        if position.offset == before.offset + 1 and position.epoch == before.epoch:
            self._hand_on([stored])
        elif position.offset == 1 and not before.offset and position.epoch != before.epoch:
            # The first entry of a channel that had none. It is not read, because the
            # channel may have begun anew by then.
            self._listener.on_restart(self.name, Position(position.epoch, 0), gap=False)
            self._hand_on([stored])
        elif (
            position.epoch != before.epoch
            or position.offset > before.offset
            or self.seen.is_outlived_by(stored)
        ):
            self.catch_up()

    def _hand_on(self, page: Sequence[Stored]) -> None:
        if not page:
            return
        # First: if it fails the entries are handed on again, and known ones are ignored.
        self._listener.on_entries([stored.entry for stored in page])
        entry, token = page[-1]
        self.seen = Seen(entry.position, token, repr(entry.published_at))
        self._storage.seen.add(self.name, self.seen)
