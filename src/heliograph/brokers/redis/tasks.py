"""Tasks that run beside the callers, and how they end."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ...logs import Logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

__all__ = ["Endings", "Shared", "cancel"]

_Result = TypeVar("_Result")

_log = Logger("heliograph.brokers.redis")

# Between two cancellations of one task.
_CANCEL_AGAIN_SECONDS = 0.1


async def cancel(task: asyncio.Task[Any] | None) -> None:
    """
    Cancel a task, and wait for its end.

    Args:
        task: One that never swallows a cancellation by itself; :obj:`None` for none.
    """
    while task is not None and not task.done():
        # More than once: a cancellation that reaches redis-py 8.1 in the middle of a
        # command may be lost there.
        task.cancel()
        await asyncio.wait({task}, timeout=_CANCEL_AGAIN_SECONDS)


class Endings:
    """Work that nobody waits for until the broker is closed."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, ending: Coroutine[Any, Any, None]) -> None:
        """
        Run a coroutine in a task of its own.

        Args:
            ending: What it raises is logged.
        """
        # In an empty context: a caller's may hold a request with all that belongs to it.
        task = asyncio.create_task(ending, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("cannot stop listening to a channel", exc_info=task.exception())

    async def wait(self) -> None:
        """Wait until all of it is done, also what is added meanwhile."""
        while self._tasks:
            await asyncio.wait(self._tasks)


class Shared(Generic[_Result]):
    """Work that is done once for all who want it at the same time."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[_Result]] = {}

    async def run(
        self, key: Hashable, work: Callable[[], Coroutine[Any, Any, _Result]]
    ) -> _Result:
        """
        Do the work, or wait for the one who does it. Cancelling does not end it.

        Args:
            key: Identifies the work.
            work: What it raises is raised for all who wait.
        """
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work())
            task.add_done_callback(lambda done: self._on_done(key, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End all of it."""
        for task in tuple(self._tasks.values()):
            await cancel(task)

    def _on_done(self, key: Hashable, task: asyncio.Task[_Result]) -> None:
        del self._tasks[key]
        # Retrieve the error, if there is one: perhaps nobody waits for the task any more,
        # and asyncio would log it.
        if not task.cancelled():
            task.exception()
