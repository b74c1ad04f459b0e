"""What an application does when the client of a view's stream has left."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from ..faces.access import call_problem

if TYPE_CHECKING:
    from ..faces.loop_tasks import LoopTasks
    from ..hub import Leave

__all__ = ["Leaving", "OnLeave", "check_on_leave"]

OnLeave: TypeAlias = "Callable[[Leave], Any]"

_log = logging.getLogger("heliograph.asgi")


def check_on_leave(function: object) -> None:
    """
    Check what an application has given as ``on_leave``.

    Args:
        function: A function, or :obj:`None`.

    Raises:
        TypeError: It cannot be called with one argument.
    """
    if function is None:
        return
    problem = call_problem(
        function, object(), role="on_leave", example="write async def on_leave(leave): …"
    )
    if problem is not None:
        raise TypeError(problem)


class Leaving:
    """
    The call of an application's function for one response: there is exactly one.

    Args:
        function: Of the application. One without ``async`` is called in a thread.
        tasks: Where it runs.
    """

    def __init__(self, function: OnLeave, tasks: LoopTasks) -> None:
        self._function = function
        self._tasks = tasks
        self._is_due = False

    def __call__(self, leave: Leave) -> None:
        """
        Call the function soon.

        Args:
            leave: When the client has left. Only the first one counts.
        """
        if not self._is_due:
            self._is_due = True
            self._tasks.start(_called(self._function, leave))


async def _called(function: OnLeave, leave: Leave) -> None:
    try:
        if inspect.iscoroutinefunction(function):
            result = function(leave)
        else:
            result = await asyncio.to_thread(function, leave)
        if isinstance(result, Awaitable):
            await result
    except asyncio.CancelledError:
        _log.error("the on_leave function %r has not ended: its loop has", function)
        raise
    except Exception:  # noqa: BLE001 - the boundary of a task
        _log.exception("the on_leave function %r of a stream has failed", function)
