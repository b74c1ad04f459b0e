"""
Channels in Redis or Valkey: any number of machines share them.

A channel is two keys with one hash tag: a hash with its epoch and head, and a stream
whose entry ids are the offsets. Retained entries and idempotency keys take up to two more.
One script assigns the offset, stores, trims and publishes, atomically (:mod:`.scripts`). A
process has three connections to each server, however many channels and clients there are:
one listens (:mod:`.line`), and scripts that are called at the same time are sent together
on one for appends and one for reads (:mod:`.pipe`).

Needs the extra ``heliograph[redis]``.
"""

from __future__ import annotations

try:
    import redis.asyncio  # noqa: F401 - only to say what is missing
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "redis:// needs the package redis: pip install 'heliograph[redis]'", name="redis"
    ) from error

from .address import Address
from .broker import RedisBroker

__all__ = ["Address", "RedisBroker"]
