"""Calls to a broker that may be away for a while."""

from __future__ import annotations

import asyncio
import logging
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
    """
    Keeps trying, and says once when the broker goes away and when it is back.

    Attributes:
        available: Whether the broker did what it was last asked for.
    """

    def __init__(self) -> None:
        self.available = True

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
            if self.available:
                _log.warning("the broker is unavailable: %s", error)
            self.available = False
            raise
        if not self.available:
            _log.warning("the broker is available again")
        self.available = True
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
                await asyncio.sleep(delay)
                delay = min(2 * delay, _RETRY_SECONDS_AT_MOST)
