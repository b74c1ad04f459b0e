"""Calls to a broker that may be away for a while."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, TypeVar

from ..errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Patience"]

_log = logging.getLogger("heliograph.hub")

_Result = TypeVar("_Result")

# Between two tries; doubled up to the second.
_RETRY_SECONDS = 0.1
_RETRY_SECONDS_AT_MOST = 5.0


class Patience:
    """Keeps trying, and says once when the broker goes away and when it is back."""

    def __init__(self) -> None:
        self._answers = True
        self._connected = True

    @property
    def available(self) -> bool:
        """Whether the broker did what it was last asked for, and new entries come."""
        return self._answers and self._connected

    def on_connection(self, *, up: bool, reason: str) -> None:
        """
        Take note that new entries no longer come from the broker, or come again.

        Args:
            up: Whether they come.
            reason: What the storage said.
        """
        # Whoever hears again may ask again.
        self._note(answers=self._answers or up, connected=up, reason=reason)

    async def once(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """
        Ask a broker for something, and remember whether it could.

        Args:
            call: What to ask.

        Returns:
            The answer.

        Raises:
            BrokerUnavailableError: It could not.
        """
        try:
            result = await call()
        except BrokerUnavailableError as error:
            self._note(answers=False, connected=self._connected, reason=str(error))
            raise
        self._note(answers=True, connected=self._connected, reason="")
        return result

    async def until_done(self, call: Callable[[], Awaitable[_Result]]) -> _Result:
        """
        Ask a broker for something until it can.

        Args:
            call: What to ask, as often as needed.

        Returns:
            The answer.
        """
        delay = _RETRY_SECONDS
        while True:
            try:
                return await self.once(call)
            except BrokerUnavailableError:
                spread = random.uniform(0.5, 1.5)  # noqa: S311 - spreads load
                await asyncio.sleep(delay * spread)
                delay = min(2 * delay, _RETRY_SECONDS_AT_MOST)

    def _note(self, *, answers: bool, connected: bool, reason: str) -> None:
        before = self.available
        self._answers, self._connected = answers, connected
        if before and not self.available:
            _log.warning("the broker is unavailable: %s", reason)
        elif self.available and not before:
            _log.warning("the broker is available again")
