"""The broker as the hub's rooms use it: calls that wait until it is available."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..brokers.base import Attempt

if TYPE_CHECKING:
    from ..brokers.base import Broker, History
    from ..channels.entry import Entry
    from ..channels.position import Position
    from ..event import Event
    from ..retry import Availability

__all__ = ["Storage"]


class Storage:
    """
    Calls to a broker that are repeated until it can do them.

    Args:
        broker: Is open.
        availability: Records whether the broker does what it is asked for.
    """

    def __init__(self, broker: Broker, availability: Availability) -> None:
        self._broker = broker
        self._availability = availability

    @property
    def resource(self) -> str:
        """The name of the storage in errors."""
        return self._broker.resource

    async def append(self, channel: str, event: Event) -> Entry:
        """
        Append an event, once, however often it has to be tried.

        Args:
            channel: A valid name.
            event: Any event.
        """
        attempt = Attempt()
        return await self._availability.retry(
            "append", partial(self._broker.append, channel, event, repeats=attempt)
        )

    async def append_now(self, channel: str, event: Event) -> Entry:
        """
        Append an event, or fail at once.

        Args:
            channel: A valid name.
            event: Any event.

        Raises:
            BrokerUnavailableError: Storage failed; the entry may or may not be there.
        """
        return await self._availability.call(
            "append", partial(self._broker.append, channel, event)
        )

    async def read(self, channel: str, after: Position | None, limit: int) -> History:
        """Return what follows a position. See :meth:`.Broker.read`."""
        return await self._availability.retry(
            "read", partial(self._broker.read, channel, after, limit)
        )

    async def find(self, channel: str, event_id: str) -> Position | None:
        """Return the position of a publisher's own id. See :meth:`.Broker.find`."""
        return await self._availability.retry(
            "read", partial(self._broker.find, channel, event_id)
        )
