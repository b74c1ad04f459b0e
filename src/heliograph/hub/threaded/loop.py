"""
The one event loop of a process, in a thread of its own, and calls to it.

What runs on the loop has a context of its own (PEP 567): that of a request holds the
request, with everything that depends on it, and a stream would keep it while it is open.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import os
import threading
from typing import TYPE_CHECKING, TypeVar

from ...errors import HubClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["CLOSE_SECONDS", "LoopThread", "post", "run"]

_Result = TypeVar("_Result")

# How long the end of the process waits for the hub: for commits under way, no longer.
CLOSE_SECONDS = 5.0


class LoopThread:
    """
    An event loop that runs in a thread until it is stopped.

    Attributes:
        loop: Is running.
        process: The id of the process that has started it.
        thread: Where it runs.
    """

    def __init__(self) -> None:
        self.loop = contextvars.Context().run(_new_loop)
        self.process = os.getpid()
        self.thread = threading.Thread(target=self._run, name="heliograph-hub", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End the loop, and wait for its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()


class _Process:
    """
    The loop of this process.

    Attributes:
        current: :obj:`None` until it is needed.
        has_ended: Whether no other may be started.
        starting: Held while one is started. Reentrant: the garbage collector may drop a
            hub, and so come here, at any moment.
    """

    def __init__(self) -> None:
        self.current: LoopThread | None = None
        self.has_ended = False
        self.starting = threading.RLock()


process = _Process()


def run(coroutine: Coroutine[None, None, _Result], seconds: float | None) -> _Result:
    """
    Run a coroutine on the loop, which is started if there is none, and wait for it.

    Args:
        coroutine: Closed if it cannot be run.
        seconds: How long to wait; :obj:`None` for ever. Then the coroutine is cancelled.

    Returns:
        Its result.

    Raises:
        TimeoutError: It took longer.
        HubClosedError: The process is about to end.
        RuntimeError: Called from the loop's own thread, or in a process that was forked
            without Python being told.
    """
    try:
        current = _started()
        if threading.current_thread() is current.thread:
            raise RuntimeError(  # noqa: TRY301 - all that fails here closes the coroutine
                "called from the hub's own thread, which would wait for itself"
            )
        future = contextvars.Context().run(
            asyncio.run_coroutine_threadsafe, coroutine, current.loop
        )
    except BaseException:
        coroutine.close()
        raise
    try:
        return future.result(seconds)
    except concurrent.futures.TimeoutError:
        future.cancel()
        raise


def post(function: Callable[..., None], *args: object) -> None:
    """
    Have the loop call a function soon. Does nothing if there is no loop, or it has ended.

    Args:
        function: Must not block.
        args: Its arguments.
    """
    # No lock: the garbage collector may come here in any thread, also in one that a fork
    # waits for while it holds all locks. A caller that has a hub has a loop.
    current = process.current
    if current is None:
        return
    # The loop is closed when the process ends; there is nothing to do then.
    with contextlib.suppress(RuntimeError):
        current.loop.call_soon_threadsafe(function, *args, context=contextvars.Context())


def _started() -> LoopThread:
    with process.starting:
        if process.has_ended:
            raise HubClosedError("the process is about to end")
        if process.current is None:
            process.current = LoopThread()
        if process.current.process != os.getpid():
            raise RuntimeError(
                "this process was forked from one that has used Heliograph, and Python was"
                " not told: start uWSGI with --lazy-apps"
            )
        return process.current


def _new_loop() -> asyncio.AbstractEventLoop:
    # gevent replaces the thread by a greenlet, in which uvloop would block the worker.
    if type(threading.current_thread()).__module__.startswith("gevent"):
        return asyncio.new_event_loop()
    try:
        import uvloop  # noqa: PLC0415 - optional, and not before it is needed
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
