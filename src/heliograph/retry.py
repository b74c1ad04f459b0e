"""
Retries of calls that need storage, and whether that storage is available.

Hub and brokers share this module. :class:`Backoff` computes how long to wait before the
next try; :class:`Availability` remembers which operations fail, logs when the broker
becomes unavailable and when it is available again, and repeats a call until it succeeds.

Only :class:`~heliograph.errors.BrokerUnavailableError` is retried: it stands for what may
pass. Every other error is a mistake, which repeating does not mend.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from .errors import BrokerUnavailableError, ConfigError, HubClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from .logs import Logger

__all__ = ["Availability", "Backoff"]

_Result = TypeVar("_Result")

# A delay is drawn from this range around its nominal value, so that processes that lost the
# same server do not all return to it in the same instant.
_SPREAD = 0.5, 1.5


class Backoff:
    """
    Delays between tries: each is about twice as long as the one before.

    Args:
        first_seconds: Nominal delay before the second try, above 0.
        longest_seconds: Upper bound of the nominal delay.
    """

    __slots__ = ("_first_seconds", "_longest_seconds", "_nominal_seconds")

    def __init__(self, *, first_seconds: float = 0.1, longest_seconds: float = 5.0) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._nominal_seconds = first_seconds

    def next_seconds(self) -> float:
        """Return the delay before the next try, and double the nominal delay."""
        nominal = self._nominal_seconds
        self._nominal_seconds = min(2 * nominal, self._longest_seconds)
        return nominal * random.uniform(*_SPREAD)  # noqa: S311 - spreads load

    def reset(self) -> None:
        """Begin again with the first delay."""
        self._nominal_seconds = self._first_seconds


class Availability:
    """
    Whether a broker is available, and calls that are repeated until it is.

    Args:
        log: Logger for one line when the broker becomes unavailable and one when it is
            available again, however many calls fail in between.
        new_backoff: Called for the delays of each call that is repeated.

    Attributes:
        new_backoff: As given, for callers that repeat calls by themselves.
    """

    def __init__(
        self, log: Logger, *, new_backoff: Callable[[], Backoff] = Backoff
    ) -> None:
        self.new_backoff = new_backoff
        self._log = log
        # Operations that failed when they were last tried. One name each and not a single
        # flag: a broker may be able to read and unable to append.
        self._failing: set[str] = set()
        self._connected = True
        self._closed = asyncio.Event()

    @property
    def available(self) -> bool:
        """Whether each operation succeeded when last tried, and new entries arrive."""
        return self._connected and not self._failing

    def on_connection(self, *, up: bool, reason: str) -> None:
        """
        Record that new entries arrive from the broker, or that they do not.

        Args:
            up: Whether they arrive. If so, operations that failed count as possible again.
            reason: Why, in the storage's words; for the log.
        """
        with self._logging_changes(reason):
            self._connected = up
            if up:
                self._failing.clear()

    def on_failure(self, operation: str, reason: str) -> None:
        """
        Record that an operation failed.

        Args:
            operation: Its name, such as ``"append"``.
            reason: Why, in the storage's words; for the log.
        """
        with self._logging_changes(reason):
            self._failing.add(operation)

    def on_success(self, operation: str) -> None:
        """
        Record that an operation succeeded, or that nobody waits for it any more.

        Args:
            operation: Its name, as given to :meth:`on_failure`.
        """
        # Called for each event that is published.
        if operation in self._failing:
            with self._logging_changes():
                self._failing.discard(operation)

    def close(self) -> None:
        """
        End all retries: nothing is tried again.

        Calls that are under way may still succeed, so they are waited for.
        """
        self._closed.set()

    async def call(
        self, operation: str, function: Callable[[], Awaitable[_Result]]
    ) -> _Result:
        """
        Call a function once, and record whether it succeeded.

        Args:
            operation: Name under which failure and success are recorded.
            function: Makes one call to the broker.

        Returns:
            The function's result.

        Raises:
            BrokerUnavailableError: The function raised it.
            ConfigError: Likewise.
        """
        try:
            result = await function()
        except (BrokerUnavailableError, ConfigError) as error:
            self.on_failure(operation, str(error))
            raise
        self.on_success(operation)
        return result

    async def retry(
        self, operation: str, function: Callable[[], Awaitable[_Result]]
    ) -> _Result:
        """
        Call a function until it does not raise :class:`BrokerUnavailableError`.

        Cancelling this ends the retries. The operation then no longer counts as failing.

        Args:
            operation: Name under which failure and success are recorded.
            function: Makes one call to the broker; called once for each try.

        Returns:
            The function's result.

        Raises:
            HubClosedError: :meth:`close` was called, and the last try failed.
        """
        backoff = self.new_backoff()
        try:
            while True:
                try:
                    return await self.call(operation, function)
                except BrokerUnavailableError as error:
                    if await self._is_closed_within(backoff.next_seconds()):
                        raise HubClosedError(
                            f"the hub was closed while storage was unavailable: {error}"
                        ) from error
        except asyncio.CancelledError:
            self.on_success(operation)
            raise

    async def _is_closed_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        return self._closed.is_set()

    @contextmanager
    def _logging_changes(self, reason: str = "") -> Iterator[None]:
        before = self.available
        yield
        if before and not self.available:
            self._log.warning("the broker is unavailable: %s", reason)
        elif self.available and not before:
            self._log.warning("the broker is available again")
