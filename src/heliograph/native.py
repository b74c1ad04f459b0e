"""
Threads and blocking calls of the operating system, whatever has replaced them.

gevent and eventlet replace parts of the standard library in place: a thread that is started
then is a greenlet, which shares its OS thread with all others. asyncio has one running loop
for each OS thread, so a loop of ours in a greenlet would break ``asyncio.run`` and
asynchronous views in all of them, and uvloop would stop the process.

What runs in our own threads takes the names of this module, which nothing replaces. It must
not wait for a lock that a greenlet may hold, as log handlers have them: the locks of gevent
and eventlet are not made for several OS threads. So logging is left to greenlets
(``logs.py``).
"""

from __future__ import annotations

import _queue
import _thread
import contextlib
import os
import sys
import threading
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import queue
    from collections.abc import Callable
    from types import ModuleType

__all__ = [
    "RLock",
    "SimpleQueue",
    "call_handed_over",
    "capture_greenlets",
    "eventlet",
    "gevent",
    "hand_over",
    "is_ours",
    "original",
    "start_thread",
    "thread_name",
]

if TYPE_CHECKING:
    SimpleQueue = queue.SimpleQueue
else:
    # Neither gevent nor eventlet replaces what is in C and has its name in this module.
    SimpleQueue = _queue.SimpleQueue

# Counts the OS thread as its owner: two greenlets must not hold it at the same time, so
# nothing that waits may be called while it is held.
RLock = _thread.RLock


def gevent() -> bool:
    """Return whether gevent has replaced threads by greenlets in this process."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def eventlet() -> bool:
    """Return whether eventlet has replaced threads by greenlets in this process."""
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


@cache
def original(module: str, name: str) -> Any:
    """
    Return what a module of the standard library has under a name before it is replaced.

    Args:
        module: Name of the module.
        name: Of what is in it.

    Raises:
        AttributeError: The module has nothing of this name on this platform.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched(module):
        return monkey.get_original(module, name)
    if "eventlet.patcher" in sys.modules and eventlet():
        return getattr(_original_of_eventlet(module), name)
    return getattr(import_module(module), name)


def start_thread(function: Callable[[], object], name: str) -> None:
    """
    Call a function in a thread of the operating system that the process does not wait for.

    Args:
        function: Its exceptions are reported by :func:`sys.unraisablehook` or
            :func:`threading.excepthook`.
        name: Of the thread.

    Raises:
        RuntimeError: The operating system has no thread left.
    """

    def run() -> None:
        _names[number := threading.get_native_id()] = name
        try:
            function()
        finally:
            del _names[number]

    if not is_ours():
        capture_greenlets()
    if gevent():
        original("_thread", "start_new_thread")(run, ())
    else:
        original("threading", "Thread")(target=run, name=name, daemon=True).start()


def is_ours() -> bool:
    """Return whether this is a thread of :func:`start_thread`."""
    return threading.get_native_id() in _names


def thread_name() -> str:
    """Return the name of this thread."""
    # gevent and eventlet know no thread of ours, and eventlet asks for the lock of imports.
    return _names.get(threading.get_native_id()) or threading.current_thread().name


def hand_over(function: Callable[..., object], *args: object) -> None:
    """
    Call what may wait for greenlets: soon and in a greenlet, if this is a thread of ours.

    In any other thread, and where threads are threads, it is called at once.

    Args:
        function: What to call.
        args: Its arguments.
    """
    if _greenlets is None or not is_ours():
        function(*args)
        return
    _handed_over.put((function, args))
    try:
        _greenlets.wake()
    except Exception:  # noqa: BLE001 - the thread of these greenlets has ended, and no other is known
        call_handed_over()


def call_handed_over() -> None:
    """Call what was handed over and not called yet: nobody else is going to."""
    with contextlib.suppress(_queue.Empty):
        while True:
            function, args = _handed_over.get_nowait()
            function(*args)


def capture_greenlets() -> None:
    """Remember the greenlets of this thread, if there are any, for :func:`hand_over`."""
    global _greenlets  # noqa: PLW0603 - of the process
    if not (gevent() or eventlet()):
        return
    known = _greenlets
    if known is not None and known.process == os.getpid():
        is_better = threading.get_native_id() == os.getpid() and not known.is_main
        if not is_better:
            return
    _greenlets = _Greenlets()


class _Greenlets:
    """
    The greenlets of the thread that this is made in.

    Attributes:
        process: The id of the process: a child has other greenlets.
        is_main: Whether they are those of the main thread, which lasts.
        wake: Have :func:`call_handed_over` called in one of them. May be called in any
            thread; raises if their thread has ended.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self.is_main = threading.get_native_id() == self.process
        self.wake = _waking_gevent() if gevent() else _waking_eventlet()


# The threads of ours, by the numbers of the operating system.
_names: dict[int, str] = {}
# A child has none of them, and their numbers may be given to its own.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_names.clear)
_greenlets: _Greenlets | None = None
_handed_over: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = SimpleQueue()


def _waking_gevent() -> Callable[[], None]:
    library = import_module("gevent")
    loop = library.get_hub().loop

    def wake() -> None:
        loop.run_callback_threadsafe(library.spawn, call_handed_over)

    return wake


def _waking_eventlet() -> Callable[[], None]:
    trampoline = import_module("eventlet.hubs").trampoline
    read, write = original("os", "read"), original("os", "write")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def serve() -> None:
        while True:
            trampoline(reader, read=True)
            read(reader, 4096)
            call_handed_over()

    def wake() -> None:
        # Full: it is awake.
        with contextlib.suppress(BlockingIOError):
            write(writer, b"!")

    import_module("eventlet").spawn(serve)
    return wake


def _original_of_eventlet(module: str) -> ModuleType:
    patcher = import_module("eventlet.patcher")
    # It loads the module once more, and selectors has only what it finds in select.
    replaced = import_module("select")
    sys.modules["select"] = patcher.original("select")
    try:
        original: ModuleType = patcher.original(module)
    finally:
        sys.modules["select"] = replaced
    return original
