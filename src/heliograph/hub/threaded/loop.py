"""
The one event loop of a process, in an OS thread of its own, and calls to it.

The thread is the operating system's, also where gevent or eventlet make greenlets of
threads: asyncio has one running loop for each OS thread, and this one is only ours.

What runs on the loop has a context of its own (PEP 567): that of a request holds the
request, with everything that depends on it, and a stream would keep it while it is open.
"""

from __future__ import annotations

import _queue
import contextlib
import contextvars
import os
from typing import TYPE_CHECKING, Any, TypeVar

from ... import native
from ...errors import HubClosedError
from ...logs import Logger
from .calls import Call
from .event_loop import new_event_loop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from .calls import Outcome

__all__ = ["CLOSE_SECONDS", "LoopThread", "ask", "is_at_hand", "post", "run"]

_log = Logger("heliograph.hub")

_Result = TypeVar("_Result")

# How long the end of the process waits for the hub: for commits under way, no longer.
CLOSE_SECONDS = 5.0


class LoopThread:
    """
    An event loop that runs in a thread until it is stopped.

    Attributes:
        loop: Is running.
        process: The id of the process that has started it.
        calls: Those that somebody waits for.
    """

    def __init__(self) -> None:
        self.loop = contextvars.Context().run(new_event_loop)
        self.process = os.getpid()
        self.calls: set[Call[Any]] = set()
        self._is_stopping = False
        self._ended: native.SimpleQueue[None] = native.SimpleQueue()
        native.start_thread(self._run, "heliograph-hub")

    def stop(self) -> None:
        """End the loop, and wait for its thread."""
        self._is_stopping = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        with contextlib.suppress(_queue.Empty):
            self._ended.get(timeout=CLOSE_SECONDS)
        native.call_handed_over()

    def _run(self) -> None:
        # Not made the loop of this thread (set_event_loop): nobody asks for it without one
        # that runs, and asyncio's lock for that would be held in a child of that moment.
        self.loop.set_exception_handler(_on_exception)
        while not self._is_stopping:
            try:
                self.loop.run_forever()
            except BaseException:  # noqa: BLE001 - logged; all streams depend on this thread
                # SystemExit in a callback, or what somebody raises in this thread: the loop
                # has not lost anything, and continues with the next callback.
                _log.exception(
                    "an exception has ended the loop of the hub; it is restarted"
                )
        self.loop.close()
        for call in tuple(self.calls):
            call.give_up()
        self._ended.put(None)


def _on_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # It writes to the log, whose handlers may wait for greenlets.
    native.hand_over(loop.default_exception_handler, context)


class _Process:
    """
    The loop of this process.

    Attributes:
        current: :obj:`None` until it is needed.
        has_ended: Whether no other may be started.
        starting: Held while one is started. Reentrant: the garbage collector may drop a
            hub, and so come here, at any moment; so may a signal handler.
    """

    def __init__(self) -> None:
        self.current: LoopThread | None = None
        self.has_ended = False
        self.starting = native.RLock()


process = _Process()


def run(coroutine: Coroutine[None, None, _Result], seconds: float | None) -> _Result:
    """
    Run a coroutine on the loop, which is started if there is none, and wait for it.

    Other greenlets of the caller's thread continue meanwhile.

    Args:
        coroutine: Closed if it cannot be run.
        seconds: How long to wait; :obj:`None` for ever. Then the coroutine is cancelled, as
            it is when an exception ends the wait.

    Returns:
        Its result.

    Raises:
        TimeoutError: It took longer.
        HubClosedError: The process is about to end, or the hub was closed meanwhile.
        RuntimeError: Called from the loop's own thread, or in a process that was forked
            without Python being told.
    """
    call: Call[_Result] = Call(lambda: coroutine, coroutine.close)
    return _done(call, seconds)


def ask(function: Callable[[], Outcome[_Result]], seconds: float | None) -> _Result:
    """
    Call a function on the loop, and wait for its result, as :func:`run` does.

    Args:
        function: Must not block. Returns its result, which costs no task then, or the
            coroutine that does.
        seconds: See :func:`run`.

    Returns:
        The result.

    Raises:
        TimeoutError: As :func:`run`, and so are the next.
        HubClosedError: See there.
        RuntimeError: See there.
    """
    return _done(Call(function), seconds)


def _done(call: Call[_Result], seconds: float | None) -> _Result:
    try:
        current = _started()
        if native.is_ours():
            raise RuntimeError(  # noqa: TRY301 - all that fails here drops the call
                "called from a thread of the hub, which would wait for itself: the garbage"
                " collector calls __del__ in any thread, so start a thread there"
            )
        call.expect()
        # First: a loop that ends from now on ends the wait.
        current.calls.add(call)
    except BaseException:
        call.drop()
        raise
    is_over = False
    try:
        if not _post(current, call.begin):
            call.give_up()
        is_over = call.wait(seconds)
    finally:
        current.calls.discard(call)
        if not is_over:
            _post(current, call.cancel)
    if not is_over:
        raise TimeoutError(f"no answer from the hub within {seconds} seconds")
    return call.result()


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
    _post(current, function, *args)


def is_at_hand() -> bool:
    """Return whether the loop of this process runs, in another thread than this one."""
    current = process.current
    return current is not None and current.process == os.getpid() and not native.is_ours()


def _post(current: LoopThread, function: Callable[..., None], *args: object) -> bool:
    context = contextvars.Context()
    try:
        current.loop.call_soon_threadsafe(function, *args, context=context)
    except RuntimeError:
        # The loop is closed when the process ends; there is nothing to do then.
        return False
    return True


def _started() -> LoopThread:
    with process.starting:
        if process.has_ended:
            raise HubClosedError("the process is about to end")
        if process.current is None:
            started = LoopThread()
            # A signal handler may have started one meanwhile, in this thread, which holds
            # the lock; and a hub belongs to its loop.
            if process.current is None:
                process.current = started
            else:
                started.stop()
        if process.current.process != os.getpid():
            raise RuntimeError(
                "this process was forked from one that has used Heliograph, and Python was"
                " not told: start uWSGI with --lazy-apps"
            )
        return process.current
