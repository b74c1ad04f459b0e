"""Makes a broker from the URL of a Redis (:mod:`.address`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .address import Address
from .broker import RedisBroker

if TYPE_CHECKING:
    from ..base import Broker
    from ..values import RetentionPolicy

__all__ = ["from_url"]


def from_url(url: str, retention: RetentionPolicy) -> Broker:
    """
    Return the broker in the Redis that a URL names, not open yet.

    Args:
        url: A URL with one of the schemes of :mod:`.address`.
        retention: How much history is kept per channel.

    Raises:
        ConfigError: Listing every mistake in the URL, none of them with the password.
    """
    return RedisBroker(Address.parse(url), retention)
