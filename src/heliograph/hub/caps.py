"""How many streams and channels there may be: in all, and for one address."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import TYPE_CHECKING

from ..errors import TooManySubscribersError
from .files import Files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config import HubConfig

__all__ = ["Caps"]

# Those of the process, whatever hubs it has.
_files = Files()


class Caps:
    """
    The limits of a hub, and how much has been taken by whom.

    Addresses of IPv6 count by their first 64 bits: a customer is to be given no less
    (RFC 6177). IPv4 within IPv6 counts as IPv4.

    Args:
        config: Gives the limits.

    Attributes:
        refused: How many streams were refused.
    """

    def __init__(self, config: HubConfig) -> None:
        self.refused = 0
        self._config = config
        self._streams: Counter[str] = Counter()
        # Only if there is a limit: one channel of two streams counts twice, and one that
        # is still listened to after its stream counts for that long.
        self._channels: Counter[str] = Counter()

    def check(
        self,
        address: str | None,
        *,
        streams: int,
        of_channels: Mapping[str, int],
        channels_in_use: int,
        has_connection: bool,
    ) -> None:
        """
        Raise if one more stream must not begin.

        Args:
            address: Of its client; :obj:`None` if that is not known.
            streams: How many there are.
            of_channels: How many each of its channels has.
            channels_in_use: How many channels there would be, its own included.
            has_connection: Whether files are opened for it.

        Raises:
            TooManySubscribersError: A cap is reached.
        """
        config = self._config
        if address is not None:
            self._check_address(_network(address), len(of_channels))
        if streams >= config.max_subscribers:
            self._refuse(config.max_subscribers)
        if channels_in_use > config.max_channels:
            self._refuse(config.max_channels, what="channels")
        limit = config.max_subscribers_per_channel
        for name, subscribers in of_channels.items():
            if subscribers >= limit:
                self._refuse(limit, channel=name)
        if has_connection and not _files.have_room():
            self._refuse(streams)

    def come(self, address: str | None, channels: int) -> int:
        """
        Count one more stream.

        Args:
            address: As for :meth:`check`.
            channels: How many it has.

        Returns:
            How many streams the address has, this one included.
        """
        if address is None:
            return 1
        network = _network(address)
        self._streams[network] += 1
        self.count_channels(address, channels)
        return self._streams[network]

    def go(self, address: str | None, channels: int) -> None:
        """
        Count one stream less.

        Args:
            address: That :meth:`come` was called with.
            channels: How many it has had.
        """
        if address is not None:
            _add(self._streams, _network(address), -1)
            self.count_channels(address, -channels)

    def count_channels(self, address: str | None, more: int) -> None:
        """
        Count channels that are listened to for an address, if they are limited.

        Args:
            address: As for :meth:`check`.
            more: How many more than before; less than 0 for fewer.
        """
        if address is not None and self._config.max_channels_per_address is not None:
            _add(self._channels, _network(address), more)

    def _check_address(self, network: str, channels: int) -> None:
        streams = self._config.max_subscribers_per_address
        if streams is not None and self._streams[network] >= streams:
            self._refuse(streams, address=network)
        limit = self._config.max_channels_per_address
        if limit is not None and self._channels[network] + channels > limit:
            self._refuse(limit, address=network, what="channels")

    def _refuse(
        self,
        limit: int,
        *,
        channel: str | None = None,
        address: str | None = None,
        what: str = "subscribers",
    ) -> None:
        self.refused += 1
        raise TooManySubscribersError(
            limit, channel, self._config.retry_after_seconds, address=address, what=what
        )


def _add(counter: Counter[str], key: str, number: int) -> None:
    counter[key] += number
    if not counter[key]:
        del counter[key]


def _network(address: str) -> str:
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
