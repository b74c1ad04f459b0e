"""
A thread that runs blocking calls for an event loop, one after the other.

Not :class:`concurrent.futures.ThreadPoolExecutor`: the interpreter shuts executors down
before ``atexit`` hooks run, so a hub that is still open at exit, or a publish from such a
hook, would fail with a traceback. A daemon thread lives until the hub has closed it.
"""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Worker"]

_Result = TypeVar("_Result")


class Worker:
    """
    A thread for blocking calls, started at once.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: SimpleQueue[
            tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]] | None
        ] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, function: Callable[..., _Result], *args: object) -> _Result:
        """
        Call a function in the thread.

        Cancelling the wait does not stop the call.

        Args:
            function: What to call.
            args: Its arguments.

        Returns:
            What it returned.

        Raises:
            BaseException: What it raised.
        """
        future: asyncio.Future[_Result] = self._loop.create_future()
        self._calls.put((future, function, args))
        return await future

    def close(self) -> None:
        """Let the thread end once it has done what it was given before."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function, args = call
            result: Any = None
            error: BaseException | None = None
            try:
                result = function(*args)
            except BaseException as raised:  # noqa: BLE001 - handed to the caller
                error = raised
            try:
                self._loop.call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:
                # The loop was closed without waiting for us: nobody is left to tell.
                return


def _settle(
    future: asyncio.Future[Any], result: object, error: BaseException | None
) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
