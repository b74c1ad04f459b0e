"""
A thread that runs blocking calls for an event loop, one after the other.

Not :class:`concurrent.futures.ThreadPoolExecutor`: the interpreter shuts executors down
before ``atexit`` hooks run, so a hub that is still open at exit, or a publish from such a
hook, would fail with a traceback. A daemon thread lives until the hub has closed it, or
until it is dropped together with its loop.

A fork waits until no call is under way, and what the calls hold is released before it.
Otherwise the child inherits the mutexes that a library holds at that moment, and no thread
there would ever release them. SQLite also counts its locks on a file per process and does
not notice that a child is another process: its parent could remove the log that it writes.
"""

from __future__ import annotations

import asyncio
import functools
import os
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from ... import native
from ...logs import Logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _Calls: TypeAlias = native.SimpleQueue[
        tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]] | None
    ]

__all__ = ["Worker"]

_log = Logger("heliograph.brokers")

_Result = TypeVar("_Result")


class Worker:
    """
    A thread for blocking calls, started at once.

    Args:
        name: The thread's name.
        release: Called before a fork, while no call is under way, to release what must not
            be inherited; and at the end of the thread. Must not refer to the worker.
    """

    def __init__(self, name: str, release: Callable[[], None]) -> None:
        self._release = release
        self._busy = native.RLock()
        self._loop = asyncio.get_running_loop()
        self._calls: _Calls = native.SimpleQueue()
        # The thread does not keep its worker, which ends it when it is dropped.
        self._dropped = weakref.finalize(self, self._calls.put, None)
        self._dropped.atexit = False
        arguments = (self._calls, self._busy, self._loop, release)
        native.start_thread(functools.partial(_work, *arguments), name)
        _workers.add(self)

    async def run(self, function: Callable[..., _Result], *args: object) -> _Result:
        """
        Call a function in the thread.

        Cancelling the wait does not stop the call.

        Args:
            function: What to call.
            args: Its arguments.

        Returns:
            The function's result.

        Raises:
            BaseException: The function raised it.
        """
        future: asyncio.Future[_Result] = self._loop.create_future()
        self._calls.put((future, function, args))
        return await future

    def close(self) -> None:
        """End the thread after the calls that it was given before."""
        # Finalizers no longer run when the process ends.
        if self._dropped.detach() is not None:
            self._calls.put(None)

    def before_fork(self) -> None:
        """Wait for the call under way, prevent others, and release what the calls hold."""
        self._busy.acquire()
        try:
            self._release()
        except Exception:  # noqa: BLE001 - logged; the fork goes on, and others are waited for
            _log.exception("cannot release everything before a fork")

    def after_fork(self) -> None:
        """Allow calls again."""
        self._busy.release()


def _work(
    calls: _Calls,
    busy: native.RLock,
    loop: asyncio.AbstractEventLoop,
    release: Callable[[], None],
) -> None:
    while (call := calls.get()) is not None:
        future, function, args = call
        result: Any = None
        error: BaseException | None = None
        try:
            with busy:
                result = function(*args)
        except BaseException as raised:  # noqa: BLE001 - handed to the caller
            error = raised
        try:
            loop.call_soon_threadsafe(_settle, future, result, error)
        except RuntimeError:
            # The loop was closed before the call returned: nobody waits for it.
            break
        # While the thread waits it must not keep objects of the last call alive.
        del call, future, function, args, result, error
    with busy:
        release()


def _settle(
    future: asyncio.Future[Any], result: object, error: BaseException | None
) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()
# Those that a fork waits for, kept from the moment before to the moment after.
_waiting: list[Worker] = []


def _before_fork() -> None:
    for worker in tuple(_workers):
        worker.before_fork()
        _waiting.append(worker)


def _after_fork_in_parent() -> None:
    while _waiting:
        _waiting.pop().after_fork()


def _after_fork_in_child() -> None:
    # Their threads are the parent's; here they are dead.
    _waiting.clear()
    _workers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
