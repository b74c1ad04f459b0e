"""
What an application wants to be done when a stream has ended, in threads that may block.

The hub's loop must not wait for an application, so it only says that a stream has ended. A
thread that waits for that has others call the functions: a few at a time, so that one that
blocks does not hold up the rest. All of these threads begin in those of the application,
with its kind of threads: where gevent has replaced them, they are greenlets, and the loop's
thread can wake them by a socket only.

A process that ends calls what is left. After a fork the parent does that for its streams.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from ... import native
from ...logs import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call_all", "expect"]

_log = Logger("heliograph.hub")

# Functions that are called at the same time.
_CALLERS = 8


class _Endings:
    """The functions of this process. No method takes a lock, except for :meth:`expect`."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._expected: dict[int, Callable[[], None]] = {}
        self._due: deque[Callable[[], None]] = deque()
        self._callers: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._waker: socket.socket | None = None
        self._sleeper: socket.socket | None = None

    def expect(self, function: Callable[[], None]) -> Callable[[], None]:
        """See :func:`expect`."""
        with self._lock:
            if self._waker is None:
                sleeper, self._waker = socket.socketpair()
                # Raw: the loop's thread must not wait, and is not the application's.
                os.set_blocking(self._waker.fileno(), False)
                threading.Thread(
                    target=self._wait,
                    args=[sleeper],
                    name="heliograph-endings",
                    daemon=True,
                ).start()
                self._sleeper = sleeper
        number = next(self._numbers)
        self._expected[number] = function
        return partial(self._end, number)

    def call_all(self, seconds: float) -> None:
        """See :func:`call_all`."""
        for number in tuple(self._expected):
            self._end(number)
        if self._waker is None:
            return  # nothing was ever expected
        deadline = time.monotonic() + seconds
        while self._due or self._callers:
            self._call_some()
            for caller in tuple(self._callers):
                if caller.ident is None:
                    time.sleep(0.001)  # another thread is about to start it
                else:
                    caller.join(max(0.0, deadline - time.monotonic()))
            if time.monotonic() >= deadline:
                _log.error(
                    "%d functions of call_on_close or on_leave have not been called, or"
                    " have not returned, within %g seconds of the end of the process",
                    len(self._due) + len(self._callers),
                    seconds,
                )
                return

    def _end(self, number: int) -> None:
        function = self._expected.pop(number, None)
        if function is not None:
            self._due.append(function)
            self._wake()

    def forget(self) -> None:
        """Close what was inherited: after a fork, in the child."""
        for each in (self._waker, self._sleeper):
            if each is not None:
                each.close()

    def _wake(self) -> None:
        assert self._waker is not None  # noqa: S101 - something was expected
        # If the buffer is full the thread is about to look anyway.
        with contextlib.suppress(BlockingIOError):
            native.original("os", "write")(self._waker.fileno(), b"!")

    def _wait(self, sleeper: socket.socket) -> None:
        while sleeper.recv(4096):
            self._call_some()

    def _call_some(self) -> None:
        for _ in range(min(_CALLERS - len(self._callers), len(self._due))):
            caller = threading.Thread(
                target=self._call, name="heliograph-on-close", daemon=True
            )
            self._callers.add(caller)
            caller.start()

    def _call(self) -> None:
        try:
            while True:
                try:
                    function = self._due.popleft()
                except IndexError:
                    break
                try:
                    function()
                except BaseException:  # noqa: BLE001 - also gevent.Timeout; others are called
                    _log.exception("a function of call_on_close or on_leave has failed")
        finally:
            self._callers.discard(threading.current_thread())
        # What became due in between has found a caller too many.
        if self._due:
            self._wake()


_endings = _Endings()


def expect(function: Callable[[], None]) -> Callable[[], None]:
    """
    Return what has a function called soon, in a thread that may block.

    Args:
        function: May block and may raise, which is logged. Called once at most.

    Returns:
        Can be called in any thread, and does not wait. If it is not called, the function is
        called when the process ends.
    """
    return _endings.expect(function)


def call_all(seconds: float) -> None:
    """
    Call all functions that were expected, at the end of the process.

    Args:
        seconds: How long to wait for them. They are not called after that, which is logged.
    """
    _endings.call_all(seconds)


def _forget_parent() -> None:
    global _endings  # noqa: PLW0603 - its threads and locks are the parent's
    _endings.forget()
    _endings = _Endings()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
