"""
Admission of clients: limits, and the slots that open subscribers take.

There are limits on streams and channels, in total and for each address, and on the
descriptors of the process. A subscriber's slot is free again when it finishes or has left.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import itertools
import logging
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

from ..channels.names import MAX_CHANNELS
from ..channels.start import StartKind
from ..errors import TooManySubscribersError
from ..logs import Logger
from .descriptor_budget import DescriptorBudget
from .subscriber import Subscriber
from .traced import TracedSubscriber

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..config import HubConfig
    from .channel_table import ChannelTable
    from .interface import Admission
    from .recycling import Recycling
    from .statistics import Counters
    from .subscriber import Observer

__all__ = ["AdmissionControl", "Slots"]

_log = Logger("heliograph.streams")

_BEGINS = {
    StartKind.RETAINED: "begins now",
    StartKind.NOW: "begins now, without what is retained",
    StartKind.START: "begins at the start",
    StartKind.LAST: "begins with the last events",
}

# If more clients than this wait for the loop, it may not be running: it is asked, and they
# are sent away for a moment if it does not answer.
_MOST_EXPECTED = 1_000

# The longest IPv6 address with a scope, in brackets and with a port, is shorter.
_ADDRESS_CHARACTERS = 80

# One for the process, however many hubs it has.
_descriptors = DescriptorBudget()


class Slots:
    """
    The streams of each address, and its channels if these are limited.

    IPv6 addresses count by their first 64 bits: every site gets at least that much (RFC
    6177). An IPv4-mapped address counts as IPv4. An unknown address is not counted.

    Args:
        config: ``max_channels_per_address`` says whether channels are counted.
    """

    def __init__(self, config: HubConfig) -> None:
        self._counts_channels = config.max_channels_per_address is not None
        self._streams: Counter[str] = Counter()
        # A channel of two streams counts twice, and a channel that lingers counts once.
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
            address: The client's address; :obj:`None` if it is not known.
            channels: How many channels the stream has.

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
            address: The address that :meth:`take` was called with.
            channels: The number that :meth:`take` was called with.
        """
        if address is not None:
            _add(self._streams, _network_of(address), -1)
            self.count_channels(address, -channels)

    def count_channels(self, address: str | None, more: int) -> None:
        """
        Change the number of an address's channels, if these are limited.

        Args:
            address: The address; :obj:`None` if it is not known.
            more: How many more than before; below 0 for fewer.
        """
        if address is not None and self._counts_channels:
            _add(self._channels, _network_of(address), more)


class AdmissionControl:
    """
    Makes subscribers, within the limits. An observer of them.

    Args:
        config: The limits.
        table: The channels in use.
        slots: The streams and channels of each address.
        counters: Refusals are counted here.
        recycling: What clients are told when their streams finish.
    """

    def __init__(
        self,
        config: HubConfig,
        table: ChannelTable,
        slots: Slots,
        counters: Counters,
        recycling: Recycling,
    ) -> None:
        self._config = config
        self._table = table
        self._slots = slots
        self._counters = counters
        self._subscribers: dict[int, Subscriber] = {}
        # Numbers that were given out, and those whose clients had their turn on the loop.
        self._numbers = itertools.count(1)
        self._settled = 0
        # One object for all subscribers.
        self._last_words = lambda: recycling.last_words(len(self))

    def __len__(self) -> int:
        return len(self._subscribers)

    def __iter__(self) -> Iterator[Subscriber]:
        return iter(self._subscribers.values())

    def find(self, number: int) -> Subscriber | None:
        """
        Return an open subscriber.

        Args:
            number: The number of any subscriber.

        Returns:
            The subscriber; :obj:`None` if it has begun to finish, or has left.
        """
        return self._subscribers.get(number)

    def new_number(self) -> int:
        """Return the number of a client that is going to be admitted. For any thread."""
        return next(self._numbers)

    def streams_at(self, address: str | None) -> int:
        """Return how many streams an address has; 0 if it is not known. For any thread."""
        return 0 if address is None else self._slots.streams(address)

    def is_certain(self, number: int, admission: Admission) -> bool:
        """
        Return whether a client will be admitted if no other overtakes it. For any thread.

        Args:
            number: From :meth:`new_number`.
            admission: The stream that the client may open.

        Returns:
            False if a cap might be reached by clients with lower numbers. One with a higher
            number may come to the loop before, and take what is left: a cap holds all the
            same, since :meth:`admit` looks.
        """
        # In this order: a client that is settled in between counts twice, and not never.
        before = number - self._settled - 1
        config, channels, address = self._config, admission.channels, admission.address
        more_channels = (before + 1) * MAX_CHANNELS
        if (
            before > _MOST_EXPECTED
            or len(self) + before >= config.max_subscribers
            or self._table.in_use_with(()) + more_channels > config.max_channels
            or not _descriptors.have_room_for(before + 1)
        ):
            return False
        limit = config.max_subscribers_per_channel
        if any(self._table.subscribers(name) + before >= limit for name in channels):
            return False
        if address is None:
            return True
        streams = config.max_subscribers_per_address
        if streams is not None and self._slots.streams(address) + before >= streams:
            return False
        at_most = config.max_channels_per_address
        return at_most is None or self._slots.channels(address) + more_channels <= at_most

    def admit(
        self, number: int, admission: Admission, observers: Sequence[Observer]
    ) -> tuple[Subscriber, int]:
        """
        Admit a client, with a slot of its own. See :meth:`.clients.Clients.admit`.

        Args:
            number: From :meth:`new_number`, for this call only.
            admission: The stream that the client may open.
            observers: Of the subscriber, this one included. Shared by all.

        Returns:
            The subscriber, and how many streams its address has, this one included.

        Raises:
            TooManySubscribersError: A cap is reached.
        """
        channels, address = admission.channels, admission.address
        self._settled += 1
        self._check(address, channels, has_connection=not admission.is_program)
        self._table.make_room(channels, self._config.max_channels + 1)
        at_address = self._slots.take(address, len(channels))
        address = None if address is None else _shared(address)
        kind = TracedSubscriber if admission.is_traced else Subscriber
        subscriber = kind(
            number,
            channels,
            admission.last_event_id,
            start=admission.start,
            coding=admission.coding,
            address=address,
            expires_at=None if admission.is_program else self._end_of(admission),
            admitted_at=asyncio.get_running_loop().time(),
            observers=observers,
            last_words=self._last_words,
        )
        self._subscribers[subscriber.number] = subscriber
        for name in channels:
            self._table.use(name)
        if _log.isEnabledFor(logging.DEBUG):
            begins = "resumes" if subscriber.resumes else _BEGINS[subscriber.start.kind]
            _log.debug("stream %d of %r %s", subscriber.number, list(channels), begins)
        return subscriber, at_address

    def on_left(self, subscriber: Subscriber) -> None:
        """Free the slot of a subscriber."""
        del self._subscribers[subscriber.number]
        self._slots.give_back(subscriber.address, len(subscriber.channels))

    def _end_of(self, admission: Admission) -> float | None:
        seconds, expires_at = self._config.max_stream_seconds, admission.expires_at
        if seconds is None:
            return expires_at
        # Spread, so that clients that connected together do not reconnect together.
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
        # Without the hub's own channel, for commands.
        if self._table.in_use_with(channels) - 1 > config.max_channels:
            self._refuse(config.max_channels, what="channels")
        limit = config.max_subscribers_per_channel
        for name in channels:
            if self._table.subscribers(name) >= limit:
                self._refuse(limit, channel=name)
        if has_connection and not _descriptors.have_room():
            self._refuse(len(self), setting="ulimit -n")

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
        setting: str | None = None,
    ) -> None:
        self._counters.refused += 1
        raise TooManySubscribersError(
            limit,
            channel,
            self._config.retry_after_seconds,
            address=address,
            what=what,
            setting=setting,
        )


def _add(counter: Counter[str], key: str, number: int) -> None:
    counter[key] += number
    if not counter[key]:
        del counter[key]


def _shared(address: str) -> str:
    """Return one object for all streams of an address. Not sys.intern(): it keeps them."""
    return _known(address)[0]


def _network_of(address: str) -> str:
    return _known(address)[1]


def _known(address: str) -> tuple[str, str]:
    """Return an address and its network."""
    # What a proxy was told by its client may be of any length.
    is_address = len(address) <= _ADDRESS_CHARACTERS
    return _remembered(address) if is_address else (address, _computed_network(address))


@functools.lru_cache(maxsize=4096)
def _remembered(address: str) -> tuple[str, str]:
    return address, _computed_network(address)


def _computed_network(address: str) -> str:
    """
    Return the key under which an address is counted.

    Args:
        address: An address as a server or a proxy writes it, perhaps with a port.

    Returns:
        An IPv4 address, or the network of an IPv6 address; other text is returned as it is.
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
