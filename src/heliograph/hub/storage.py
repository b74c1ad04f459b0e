"""The broker as the hub's rooms use it: calls that wait until it is available."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, cast

from ..brokers.values import PLAIN, Attempt

if TYPE_CHECKING:
    from ..brokers.base import Broker, PromptBroker
    from ..brokers.values import History, Retained, Terms
    from ..channels.entry import Entry
    from ..channels.position import Position
    from ..event import Event
    from ..retry import Availability

__all__ = ["Storage"]


# Pages that a hub reads at once. A crowd resumes after a restart, and a page is held in
# several forms at a time: as the storage sent it, as entries, and encoded.
_PAGES_AT_ONCE = 32


class Storage:
    """
    Calls to a broker that are repeated until it can do them.

    Args:
        broker: Is open.
        availability: Records whether the broker does what it is asked for.

    Attributes:
        append_at_once: Appends and waits for nothing; :obj:`None` if the broker cannot. See
            :class:`.PromptBroker`.
        append_from_thread: The same, for other threads.
    """

    def __init__(self, broker: Broker, availability: Availability) -> None:
        self._broker = broker
        self._availability = availability
        is_prompt = hasattr(broker, "append_at_once")
        prompt = cast("PromptBroker", broker) if is_prompt else None
        self.append_at_once = None if prompt is None else prompt.append_at_once
        self.append_from_thread = None if prompt is None else prompt.append_from_thread
        self._reading = asyncio.Semaphore(_PAGES_AT_ONCE)

    @property
    def resource(self) -> str:
        """The name of the storage in errors."""
        return self._broker.resource

    def close(self) -> None:
        """Repeat nothing any more: calls that fail raise :class:`HubClosedError`."""
        self._availability.close()

    async def append(self, channel: str, event: Event, terms: Terms = PLAIN) -> Entry:
        """
        Append an event, once, however often it has to be tried.

        Args:
            channel: A valid name.
            event: Any event.
            terms: See :meth:`.Broker.append`, also for further errors.

        Raises:
            HubClosedError: :meth:`close` was called; the entry may or may not be there.
        """
        append = partial(self._broker.append, channel, event, terms=terms)
        return await self._availability.retry("append", partial(append, repeats=Attempt()))

    async def append_now(self, channel: str, event: Event, terms: Terms = PLAIN) -> Entry:
        """
        Append an event, or fail at once.

        Args:
            channel: A valid name.
            event: Any event.
            terms: See :meth:`.Broker.append`, also for further errors.

        Raises:
            BrokerUnavailableError: Storage failed; the entry may or may not be there.
        """
        return await self._availability.call(
            "append", partial(self._broker.append, channel, event, terms=terms)
        )

    async def read(self, channel: str, after: Position | None, limit: int) -> History:
        """Return what follows a position. See :meth:`.Broker.read`."""
        return await self._availability.retry(
            "read", partial(self._read, channel, after, limit)
        )

    async def read_now(self, channel: str, after: Position | None, limit: int) -> History:
        """
        Return what follows a position, or fail at once. See :meth:`.Broker.read`.

        Raises:
            BrokerUnavailableError: Storage failed.
        """
        return await self._availability.call(
            "read", partial(self._read, channel, after, limit)
        )

    async def _read(self, channel: str, after: Position | None, limit: int) -> History:
        # One try, so that those that wait for storage keep no other client from it.
        async with self._reading:
            return await self._broker.read(channel, after, limit)

    async def find(self, channel: str, event_id: str) -> Position | None:
        """Return the position of a publisher's own id. See :meth:`.Broker.find`."""
        return await self._availability.retry(
            "read", partial(self._broker.find, channel, event_id)
        )

    async def retained(self, channel: str, after: int, limit: int) -> Retained:
        """Return retained entries. See :meth:`.Broker.retained`."""
        return await self._availability.retry(
            "read", partial(self._retained, channel, after, limit)
        )

    async def _retained(self, channel: str, after: int, limit: int) -> Retained:
        async with self._reading:
            return await self._broker.retained(channel, after, limit)

    async def retained_as(self, channel: str, key: str) -> Entry | None:
        """
        Return a retained entry, or fail at once. See :meth:`.Broker.retained_as`.

        Raises:
            BrokerUnavailableError: Storage failed.
        """
        return await self._availability.call(
            "read", partial(self._broker.retained_as, channel, key)
        )

    async def forget(self, channel: str, key: str) -> None:
        """
        Retain an entry no longer, or fail at once. See :meth:`.Broker.forget`.

        Raises:
            BrokerUnavailableError: Storage failed; it may or may not be done.
        """
        await self._availability.call("append", partial(self._broker.forget, channel, key))

    async def begin(self, channel: str) -> Position:
        """
        Begin a new life of a channel, or fail at once. See :meth:`.Broker.begin`.

        Raises:
            BrokerUnavailableError: Storage failed; it may or may not be done.
        """
        return await self._availability.call("append", partial(self._broker.begin, channel))
