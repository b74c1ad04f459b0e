"""Calls to a broker that may be away for a while."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from ..errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["Patience"]

_log = logging.getLogger("heliograph.hub")

_Result = TypeVar("_Result")

# Between two tries; doubled up to the second.
_RETRY_SECONDS = 0.1
_RETRY_SECONDS_AT_MOST = 5.0


class Patience:
    """Keeps trying, and says once when the broker goes away and when it is back."""

    def __init__(self) -> None:
        # What the broker did not do when it was last asked for it.
        self._failing: set[str] = set()
        self._connected = True

    @property
    def available(self) -> bool:
        """Whether the broker did what it was last asked for, and new entries come."""
        return self._connected and not self._failing

    def on_connection(self, *, up: bool, reason: str) -> None:
        """
        Take note that new entries no longer come from the broker, or come again.

        Args:
            up: Whether they come.
            reason: What the storage said.
        """
        with self._noting(reason):
            self._connected = up
            if up:
                # Whoever hears again may ask again.
                self._failing.clear()

    async def once(self, what: str, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """
        Ask a broker for something, and remember whether it could.

        Args:
            what: Is asked for: a broker may read and not append.
            call: Asks.

        Returns:
            The answer.

        Raises:
            BrokerUnavailableError: It could not.
        """
        try:
            result = await call()
        except BrokerUnavailableError as error:
            self.on_failure(what, str(error))
            raise
        self.on_success(what)
        return result

    def on_failure(self, what: str, reason: str) -> None:
        """
        Remember that the broker could not do something.

        Args:
            what: Was asked for.
            reason: What the storage said.
        """
        with self._noting(reason):
            self._failing.add(what)

    def on_success(self, what: str) -> None:
        """
        Remember that the broker could do something, or that nobody asks for it any more.

        Args:
            what: Was asked for.
        """
        with self._noting():
            self._failing.discard(what)

    async def until_done(
        self, what: str, call: Callable[[], Awaitable[_Result]]
    ) -> _Result:
        """
        Ask a broker for something until it can.

        Args:
            what: Is asked for.
            call: Asks, as often as needed.

        Returns:
            The answer.
        """
        delay = _RETRY_SECONDS
        try:
            while True:
                try:
                    return await self.once(what, call)
                except BrokerUnavailableError:
                    spread = random.uniform(0.5, 1.5)  # noqa: S311 - spreads load
                    await asyncio.sleep(delay * spread)
                    delay = min(2 * delay, _RETRY_SECONDS_AT_MOST)
        except asyncio.CancelledError:
            # Nobody asks for it any more.
            self.on_success(what)
            raise

    @contextmanager
    def _noting(self, reason: str = "") -> Iterator[None]:
        before = self.available
        yield
        if before and not self.available:
            _log.warning("the broker is unavailable: %s", reason)
        elif self.available and not before:
            _log.warning("the broker is available again")
