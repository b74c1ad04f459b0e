"""
Reads every channel that is listened to from time to time, one after the other.

A position before a channel's first event is replaced while it is still valid, and a channel
that is listened to is not forgotten.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from .tasks import cancel

if TYPE_CHECKING:
    from ..values import RetentionPolicy
    from .routing import Routing
    from .timings import Timings

__all__ = ["Renewal"]

# How often a channel is read, at least, in the time after which it is forgotten. A read
# renews that time when less than half of it is left, and a position before the first event
# is valid for more than a third of it.
_READS = 4


class Renewal:
    """
    Reads what is listened to.

    Args:
        routing: Knows the channels.
        retention: How long each is kept.
        timings: How often channels are read, at least.
    """

    def __init__(
        self, routing: Routing, retention: RetentionPolicy, timings: Timings
    ) -> None:
        self._routing = routing
        self._retention = retention
        self._timings = timings
        # Seconds -> what reads channels so often. Few: settings are for patterns of names.
        self._tasks: dict[float, asyncio.Task[None]] = {}

    def add(self, channel: str) -> None:
        """
        Read a channel from time to time, as long as it is listened to.

        Args:
            channel: Its name.
        """
        seconds = self._seconds(channel)
        if seconds not in self._tasks:
            self._tasks[seconds] = asyncio.create_task(self._renew(seconds))

    async def close(self) -> None:
        """End all of it."""
        for task in tuple(self._tasks.values()):
            await cancel(task)

    def _seconds(self, channel: str) -> float:
        retention = self._retention.of(channel)
        forget_seconds = max(retention.seconds, retention.forget_seconds)
        return min(self._timings.renew_seconds, forget_seconds / _READS)

    async def _renew(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
            channels = [
                channel
                for channel in self._routing.channels
                if self._seconds(channel.name) == seconds
            ]
            if not channels:
                del self._tasks[seconds]
                return
            for channel in channels:
                if channel.is_catching_up or self._routing.is_down(channel):
                    continue  # it is read in any case, now or after the reconnect
                if self._routing.has(channel):
                    task = channel.catch_up()
                    # One that cannot be read must not keep the others from it.
                    timeout = self._timings.catch_up_retry_seconds
                    await asyncio.wait({task}, timeout=timeout)
