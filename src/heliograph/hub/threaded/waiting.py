"""
How the caller of a hub waits for the hub's thread.

A thread blocks. A greenlet must not: it shares its thread with all others, so it is left to
gevent or eventlet to continue it. The hub's own greenlet of either cannot be left, and
blocks as well, for the short time that a call takes.
"""

from __future__ import annotations

import _queue
import os
import sys
from importlib import import_module
from typing import Any, Protocol

from ... import native

__all__ = ["Waiter", "new_waiter"]

# How long a signal may wait for its handler. See _ThreadWaiter.
_SIGNAL_SECONDS = 1.0


class Waiter(Protocol):
    """Waits once, in the thread and greenlet that it was made in."""

    def wake(self) -> None:
        """End the wait, also if it has yet to begin. May be called in any OS thread."""
        ...

    def wait(self, seconds: float | None) -> bool:
        """
        Wait until :meth:`wake` is called.

        Args:
            seconds: How long at most; :obj:`None` for ever.

        Returns:
            False if it took longer.
        """
        ...


def new_waiter() -> Waiter:
    """Return what the caller can wait with."""
    if native.gevent():
        native.capture_greenlets()
        hub = import_module("gevent").get_hub()
        if import_module("greenlet").getcurrent() is not hub:
            return _GeventWaiter(hub)
    elif native.eventlet():
        native.capture_greenlets()
        hubs = import_module("eventlet.hubs")
        if import_module("greenlet").getcurrent() is not hubs.get_hub().greenlet:
            return _EventletWaiter(hubs)
    return _ThreadWaiter()


class _ThreadWaiter:
    def __init__(self) -> None:
        self._woken: native.SimpleQueue[None] = native.SimpleQueue()

    def wake(self) -> None:
        self._woken.put(None)

    def wait(self, seconds: float | None) -> bool:
        if seconds is not None:
            return self._is_woken_within(seconds)
        # Python runs the handler of a signal between two instructions of the main thread. A
        # signal ends the wait for that, but not if it comes in the moment before the wait,
        # or to another thread: Ctrl-C would do nothing until somebody publishes.
        while not self._is_woken_within(_SIGNAL_SECONDS):
            pass
        return True

    def _is_woken_within(self, seconds: float) -> bool:
        try:
            self._woken.get(timeout=seconds)
        except _queue.Empty:
            return False
        return True


class _GeventWaiter:
    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._waiter = sys.modules["gevent.hub"].Waiter(hub)
        # The one kind of watcher that another thread may touch, while it is open.
        self._watcher = hub.loop.async_()
        self._is_open = True
        self._lock = native.RLock()
        self._watcher.start(self._waiter.switch, None)

    def wake(self) -> None:
        with self._lock:
            if self._is_open:
                self._watcher.send()

    def wait(self, seconds: float | None) -> bool:
        timeout = import_module("gevent").Timeout.start_new(seconds)
        try:
            self._waiter.get()
        except timeout.__class__ as error:
            # Of somebody else it may be, and then it is theirs to catch.
            if error is not timeout:
                raise
            return False
        finally:
            timeout.close()
            with self._lock:
                self._is_open = False
                self._watcher.stop()
                self._watcher.close()
        return True


class _TimedOut(Exception):  # noqa: N818 - not an error: the wait is over
    pass


class _EventletWaiter:
    def __init__(self, hubs: Any) -> None:
        self._hubs = hubs
        self._reader, self._writer = os.pipe()
        self._is_open = True
        self._lock = native.RLock()

    def wake(self) -> None:
        with self._lock:
            if self._is_open:
                native.original("os", "write")(self._writer, b"!")

    def wait(self, seconds: float | None) -> bool:
        try:
            self._hubs.trampoline(
                self._reader, read=True, timeout=seconds, timeout_exc=_TimedOut
            )
        except _TimedOut:
            return False
        finally:
            with self._lock:
                self._is_open = False
                os.close(self._reader)
                os.close(self._writer)
        return True
