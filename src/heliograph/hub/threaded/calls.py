"""What another thread has the hub's loop do, and waits for."""

from __future__ import annotations

import asyncio
from types import CoroutineType
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, cast

from ...errors import HubClosedError
from .waiting import new_waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from .waiting import Waiter

__all__ = ["Call", "Outcome"]

_Result = TypeVar("_Result")

Outcome: TypeAlias = "_Result | Coroutine[None, None, _Result]"
"""A result, or the coroutine that returns it."""


class Call(Generic[_Result]):
    """
    A function that is called on the loop, and the caller that waits for its result.

    A result that the function has at once costs no task.

    Args:
        function: Must not block.
        drop: Called if the function is never going to be.
    """

    def __init__(
        self,
        function: Callable[[], Outcome[_Result]],
        drop: Callable[[], None] = lambda: None,
    ) -> None:
        self._function = function
        self._drop = drop
        self._waiter: Waiter
        self._results: list[_Result] = []
        self._error: BaseException | None = None
        self._has_begun = False
        self._task: asyncio.Task[_Result] | None = None

    def expect(self) -> None:
        """Get ready to wait. Called first, in the thread and greenlet that waits."""
        self._waiter = new_waiter()

    def begin(self) -> None:
        """Call the function. Called on the loop."""
        self._has_begun = True
        try:
            outcome = self._function()
        except BaseException as error:
            self._error = error
            self._waiter.wake()
            if not isinstance(error, Exception):
                raise
            return
        if isinstance(outcome, CoroutineType):
            self._task = asyncio.get_running_loop().create_task(outcome)
            self._task.add_done_callback(self._end)
        else:
            self._results.append(cast("_Result", outcome))
            self._waiter.wake()

    def cancel(self) -> None:
        """Cancel what has begun. Called on the loop, after :meth:`begin`."""
        if self._task is not None:
            self._task.cancel()

    def drop(self) -> None:
        """Forget what has not begun, and never will."""
        self._drop()

    def give_up(self) -> None:
        """End the wait without a result: the loop has ended."""
        self._waiter.wake()

    def wait(self, seconds: float | None) -> bool:
        """Return whether the wait is over within some seconds; :obj:`None` is for ever."""
        return self._waiter.wait(seconds)

    def result(self) -> _Result:
        """
        Return what the function or its coroutine has returned, after the wait.

        Raises:
            BaseException: It has raised that.
            HubClosedError: The loop has ended before.
        """
        # The traceback of an error leads here, and so to itself and to all that its callers
        # have, until the garbage collector comes.
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error
        if self._results:
            return self._results[0]
        if not self._has_begun:
            self._drop()
        elif self._task is not None and self._task.done() and not self._task.cancelled():
            task, self._task = self._task, None
            try:
                return task.result()
            finally:
                del task
        raise HubClosedError("the hub was closed before it could answer")

    def _end(self, task: asyncio.Task[_Result]) -> None:
        # Looked at: asyncio would log the exception of a call that nobody waits for.
        if not task.cancelled():
            task.exception()
        self._waiter.wake()
