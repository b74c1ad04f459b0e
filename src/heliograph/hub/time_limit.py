"""A time limit for many blocks, with one timer for all of them."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["TimeLimit"]


class TimeLimit:
    """
    Limits blocks, each to the same number of seconds.

    It does what :func:`asyncio.timeout` does, whose timers, one for each block, take a
    sixth of the time of a publish through Redis. The oldest block is the first that is
    over, so one timer does.

    Args:
        seconds: How long a block may take; :obj:`None` for no limit.
        over: Returns what a block raises that took longer.
    """

    def __init__(self, seconds: float | None, over: Callable[[], Exception]) -> None:
        self._seconds = seconds
        self.over = over
        # Those that run, in the order in which they began -> when they are over.
        self._running: dict[_Block, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> _Block:
        """
        Return a block, to be used once, with ``with``.

        It must be in a task. It raises what ``over`` returns, from a :class:`TimeoutError`,
        if it takes longer: what is awaited in it is cancelled.
        """
        return _Block(self)

    def begin(self, block: _Block) -> None:
        """
        Start the time of a block.

        Args:
            block: Has the task that is cancelled.
        """
        if self._seconds is None:
            return
        loop = asyncio.get_running_loop()
        self._running[block] = until = loop.time() + self._seconds
        if self._timer is None:
            self._set_timer(loop, until)

    def end(self, block: _Block) -> None:
        """
        Forget a block.

        Args:
            block: One that has ended.
        """
        self._running.pop(block, None)

    def _set_timer(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        # It must not keep the request in which it was set.
        self._timer = loop.call_at(until, self._look, context=contextvars.Context())

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        now = loop.time()
        for block, until in tuple(self._running.items()):
            if until > now:
                self._set_timer(loop, until)
                break
            del self._running[block]
            block.cancel()


class _Block:
    """One block. See :class:`TimeLimit`."""

    __slots__ = ("_cancelling", "_is_over", "_limit", "_task")

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit
        self._is_over = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - callers are coroutines
        self._task = task
        self._cancelling = task.cancelling()
        self._limit.begin(self)

    def cancel(self) -> None:
        """Cancel what the block awaits."""
        self._is_over = True
        self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._limit.end(self)
        # As asyncio.timeout() does: unless somebody else has cancelled the task, too.
        if (
            self._is_over
            and self._task.uncancel() <= self._cancelling
            and isinstance(error, asyncio.CancelledError)
        ):
            late = TimeoutError()
            late.__cause__ = error
            raise self._limit.over() from late
