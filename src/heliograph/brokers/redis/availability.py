"""
What happens while Redis cannot be reached: waits between tries, errors, telling listeners.

Everything in this package that retries, or reports that Redis is unavailable, does it by
what is in this module.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import RedisError

from ...errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from ..base import Listener

__all__ = ["Availability", "Backoff", "reason_of", "unavailable_errors"]


class Backoff:
    """
    Waits between tries: each time twice as long as before, up to a limit.

    Args:
        first_seconds: The first wait, give or take a half, so that not all processes retry
            in the same instant.
        longest_seconds: The longest wait, likewise; :obj:`None` for ``first_seconds``, so
            that all waits are alike.
    """

    def __init__(self, first_seconds: float, longest_seconds: float | None = None) -> None:
        self._first = first_seconds
        self._longest = longest_seconds or first_seconds
        self._next = first_seconds

    def reset(self) -> None:
        """Begin with the first wait again, because a try has succeeded."""
        self._next = self._first

    def next_seconds(self) -> float:
        """Return how long to wait before the next try."""
        seconds = self._next
        self._next = min(2 * seconds, self._longest)
        return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load

    async def wait(self) -> None:
        """Wait until it is time for the next try."""
        await asyncio.sleep(self.next_seconds())


class Availability:
    """
    Tells a listener when the first of several connections goes down, and when all are up.

    Args:
        resource: The address, as errors show it.
        listener: Told.
    """

    def __init__(self, resource: str, listener: Listener) -> None:
        self._resource = resource
        self._listener = listener
        self._down: set[Hashable] = set()

    def is_down(self, connection: Hashable) -> bool:
        """
        Return whether a connection is down.

        Args:
            connection: As it was named to the other methods.
        """
        return connection in self._down

    def on_up(self, connection: Hashable) -> None:
        """
        Record that a connection is up, or that nobody needs it any more.

        Args:
            connection: Whatever identifies it.
        """
        if connection in self._down:
            self._down.discard(connection)
            if not self._down:
                self._listener.on_connection(up=True, reason="")

    def on_down(self, connection: Hashable, reason: str) -> None:
        """
        Record that a connection is down.

        Args:
            connection: Whatever identifies it.
            reason: What the driver or Redis said.
        """
        if not self._down:
            self._listener.on_connection(up=False, reason=f"{self._resource}: {reason}")
        self._down.add(connection)


@contextmanager
def unavailable_errors(resource: str) -> Iterator[None]:
    """
    Raise the driver's errors as the one that a broker may raise.

    Args:
        resource: The address, as errors show it.

    Raises:
        BrokerUnavailableError: Instead of any error of the driver or the connection.
    """
    try:
        yield
    except (RedisError, OSError) as error:
        raise BrokerUnavailableError(resource, reason_of(error)) from error


def reason_of(error: Exception) -> str:
    """
    Return what an error of the driver says, for people.

    Args:
        error: Any error.
    """
    if isinstance(error, MasterNotFoundError):
        # What each Sentinel has said follows, with the driver's objects in between.
        return str(error).partition(" : ")[0]
    return str(error) or type(error).__name__
