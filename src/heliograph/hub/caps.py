"""How many streams there may be at a time: in all, of a channel, from an address."""

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
    The limits of a hub, and how many have come from where.

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
        self._addresses: Counter[str] = Counter()

    def check(
        self,
        address: str | None,
        streams: int,
        of_channels: Mapping[str, int],
        *,
        has_connection: bool,
    ) -> None:
        """
        Let one more stream begin.

        Args:
            address: From where it has come; :obj:`None` if that is not known.
            streams: How many there are.
            of_channels: How many each of its channels has.
            has_connection: Whether files are opened for it.

        Raises:
            TooManySubscribersError: A cap is reached.
        """
        config = self._config
        per_address = config.max_subscribers_per_address
        if address is not None and per_address is not None:
            place = _network(address)
            if self._addresses[place] >= per_address:
                self._refuse(per_address, None, place)
        if streams >= config.max_subscribers:
            self._refuse(config.max_subscribers, None)
        limit = config.max_subscribers_per_channel
        for name, subscribers in of_channels.items():
            if subscribers >= limit:
                self._refuse(limit, name)
        if has_connection and not _files.have_room():
            self._refuse(streams, None)

    def come(self, address: str | None) -> int:
        """
        Count one more, from an address that may be unknown.

        Args:
            address: As for :meth:`check`.

        Returns:
            How many have come from there, this one included.
        """
        if address is None:
            return 1
        place = _network(address)
        self._addresses[place] += 1
        return self._addresses[place]

    def go(self, address: str | None) -> None:
        """
        Count one less.

        Args:
            address: That :meth:`come` was called with.
        """
        if address is None:
            return
        place = _network(address)
        self._addresses[place] -= 1
        if not self._addresses[place]:
            del self._addresses[place]

    def _refuse(self, limit: int, channel: str | None, address: str | None = None) -> None:
        self.refused += 1
        raise TooManySubscribersError(
            limit, channel, self._config.retry_after_seconds, address=address
        )


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
