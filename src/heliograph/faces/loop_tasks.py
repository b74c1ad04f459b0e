"""What runs on a loop beside the requests, until it is done."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["LoopTasks"]

_log = logging.getLogger("heliograph.asgi")


class LoopTasks:
    """
    Tasks of a loop that nobody awaits: each logs its own errors.

    Each has an empty context (PEP 567), since a copy would keep the request that has
    started it.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, coroutine: Coroutine[object, object, None]) -> None:
        """
        Run a coroutine. Called on the loop.

        Args:
            coroutine: Raises nothing but :exc:`asyncio.CancelledError`.
        """
        task = asyncio.create_task(coroutine, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Also before its first step, in which it could log that itself.
        if task.cancelled():
            _log.error(
                "a call of on_leave or publish_soon(…) was cancelled, since its loop has"
                " ended: what it was to do may be lost"
            )

    def forget_ended_loops(self) -> None:
        """Forget the tasks that were left on loops that have ended."""
        self._tasks -= {task for task in self._tasks if task.get_loop().is_closed()}

    async def ended(self, seconds: float) -> bool:
        """
        Wait until the tasks are done, and those that they start.

        Args:
            seconds: How long to wait at most. What is not done then continues.

        Returns:
            Whether there was a task.
        """
        if not self._tasks:
            return False
        deadline = asyncio.get_running_loop().time() + seconds
        while self._tasks:
            left = deadline - asyncio.get_running_loop().time()
            _, waiting = await asyncio.wait(tuple(self._tasks), timeout=max(0.0, left))
            if waiting:
                _log.error(
                    "%d calls of on_leave or publish_soon have not returned within %g"
                    " seconds of the end of the streams",
                    len(waiting),
                    seconds,
                )
                break
            # Those that were done already are forgotten in the loop's next turn.
            await asyncio.sleep(0)
        return True
