"""The background tasks of a hub: logged if they fail, and cancelled together."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, TypeVar

from ..logs import Logger

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["Tasks"]

_log = Logger("heliograph.hub")

_Result = TypeVar("_Result")


class Tasks:
    """
    Tasks that outlive the call that starts them.

    Each has an empty context (PEP 567): a copy of the request's context would keep the
    request, with everything that depends on it, while the task runs. If a task fails, its
    exception is logged.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def start(self, coroutine: Coroutine[object, object, _Result]) -> asyncio.Task[_Result]:
        """
        Run a coroutine in the background.

        Args:
            coroutine: Runs until it ends or :meth:`cancel_all` is called.

        Returns:
            Its task.
        """
        task = asyncio.create_task(coroutine, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    async def cancel_all(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        # A task may start another one while it ends.
        while tasks := tuple(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            # Those that were done already are forgotten in the loop's next turn.
            await asyncio.sleep(0)

    def _on_done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a task of the hub has failed", exc_info=task.exception())
