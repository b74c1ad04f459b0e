"""
Which clients are let in, and the slots that they have.

Caps on streams and channels, in all and for one address; the process's descriptors; and
the subscribers that are open, by number. A slot is given back when its subscriber finishes
or has left.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

from ..errors import TooManySubscribersError
from .descriptor_budget import DescriptorBudget
from .subscriber import Subscriber

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..config import HubConfig
    from .channel_table import ChannelTable
    from .interface import Admission
    from .statistics import Counters
    from .subscriber import Observer

__all__ = ["AdmissionControl", "Slots"]

# Of the process, whatever hubs it has.
_descriptors = DescriptorBudget()


class Slots:
    """
    What each address has taken: streams, and channels if these are limited.

    Addresses of IPv6 count by their first 64 bits, the least that a customer is given
    (RFC 6177). IPv4 within IPv6 counts as IPv4. An unknown address is not counted.

    Args:
        config: Says whether the channels of an address are limited.
    """

    def __init__(self, config: HubConfig) -> None:
        self._counts_channels = config.max_channels_per_address is not None
        self._streams: Counter[str] = Counter()
        # A channel of two streams counts twice, and one that is still listened to after its
        # last stream counts for that long.
        self._channels: Counter[str] = Counter()

    def streams(self, address: str) -> int:
        """Return how many streams an address has."""
        return self._streams[_network_of(address)]

    def channels(self, address: str) -> int:
        """Return how many channels an address has, if these are limited."""
        return self._channels[_network_of(address)]

    def take(self, address: str | None, channels: int) -> int:
        """
        Count one more stream.

        Args:
            address: Of its client; :obj:`None` if that is not known.
            channels: How many channels it has.

        Returns:
            How many streams the address has, this one included.
        """
        if address is None:
            return 1
        _add(self._streams, _network_of(address), 1)
        self.count_channels(address, channels)
        return self.streams(address)

    def give_back(self, address: str | None, channels: int) -> None:
        """
        Count one stream less.

        Args:
            address: That :meth:`take` was called with.
            channels: How many channels it had.
        """
        if address is not None:
            _add(self._streams, _network_of(address), -1)
            self.count_channels(address, -channels)

    def count_channels(self, address: str | None, more: int) -> None:
        """
        Count channels that are listened to for an address, if these are limited.

        Args:
            address: As for :meth:`take`.
            more: How many more than before; below 0 for fewer.
        """
        if address is not None and self._counts_channels:
            _add(self._channels, _network_of(address), more)


class AdmissionControl:
    """
    Lets clients in. An observer of the subscribers that it makes.

    Args:
        config: Gives the limits.
        table: Says how much of them is used by channels.
        slots: What addresses have taken.
        counters: Counts refusals.
    """

    def __init__(
        self, config: HubConfig, table: ChannelTable, slots: Slots, counters: Counters
    ) -> None:
        self._config = config
        self._table = table
        self._slots = slots
        self._counters = counters
        self._subscribers: dict[int, Subscriber] = {}
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._subscribers)

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(self._subscribers.values())

    def find(self, number: int) -> Subscriber | None:
        """
        Return an open subscriber.

        Args:
            number: Any.

        Returns:
            :obj:`None` if it has finished or left.
        """
        return self._subscribers.get(number)

    def admit(
        self, admission: Admission, observers: Sequence[Observer]
    ) -> tuple[Subscriber, int]:
        """
        Let a client in, and give it a slot. See :meth:`.clients.Clients.admit`.

        Args:
            admission: The stream that the client may open.
            observers: Of the subscriber, this one included. Shared by all.

        Returns:
            The subscriber, and how many streams its address has, this one included.

        Raises:
            TooManySubscribersError: A cap is reached.
        """
        channels, address = admission.channels, admission.address
        self._check(address, channels, has_connection=not admission.is_program)
        self._table.make_room(channels, self._config.max_channels + 1)
        at_address = self._slots.take(address, len(channels))
        self._last_number += 1
        subscriber = Subscriber(
            self._last_number,
            channels,
            admission.last_event_id,
            address=address,
            expires_at=None if admission.is_program else self._end_of(admission),
            admitted_at=asyncio.get_running_loop().time(),
            observers=observers,
        )
        self._subscribers[subscriber.number] = subscriber
        for name in channels:
            self._table.use(name)
        return subscriber, at_address

    def on_left(self, subscriber: Subscriber) -> None:
        """Take a subscriber's slot back."""
        del self._subscribers[subscriber.number]
        self._slots.give_back(subscriber.address, len(subscriber.channels))

    def _end_of(self, admission: Admission) -> float | None:
        seconds, expires_at = self._config.max_stream_seconds, admission.expires_at
        if seconds is None:
            return expires_at
        # Spread, so that clients that came together do not all reconnect together.
        ends_at = time.time() + seconds * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return ends_at if expires_at is None else min(ends_at, expires_at)

    def _check(
        self, address: str | None, channels: tuple[str, ...], *, has_connection: bool
    ) -> None:
        config = self._config
        if address is not None:
            self._check_address(address, len(channels))
        if len(self) >= config.max_subscribers:
            self._refuse(config.max_subscribers)
        # Less the hub's own, for commands.
        if self._table.in_use_with(channels) - 1 > config.max_channels:
            self._refuse(config.max_channels, what="channels")
        limit = config.max_subscribers_per_channel
        for name in channels:
            if self._table.subscribers(name) >= limit:
                self._refuse(limit, channel=name)
        if has_connection and not _descriptors.have_room():
            self._refuse(len(self))

    def _check_address(self, address: str, channels: int) -> None:
        streams = self._config.max_subscribers_per_address
        if streams is not None and self._slots.streams(address) >= streams:
            self._refuse(streams, address=_network_of(address))
        limit = self._config.max_channels_per_address
        if limit is not None and self._slots.channels(address) + channels > limit:
            self._refuse(limit, address=_network_of(address), what="channels")

    def _refuse(
        self,
        limit: int,
        *,
        channel: str | None = None,
        address: str | None = None,
        what: str = "subscribers",
    ) -> None:
        self._counters.refused += 1
        raise TooManySubscribersError(
            limit, channel, self._config.retry_after_seconds, address=address, what=what
        )


def _add(counter: Counter[str], key: str, number: int) -> None:
    counter[key] += number
    if not counter[key]:
        del counter[key]


def _network_of(address: str) -> str:
    """
    Return what counts as one address: an IPv4 address, or a network of IPv6.

    Args:
        address: As a server or proxy writes it, perhaps with a port.
    """
    host = address
    # Some proxies add the port, which differs with each connection.
    if address.startswith("["):
        host = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        host = address.partition(":")[0]
    try:
        parsed = ipaddress.IPv6Address(host)
    except ValueError:
        return host
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
