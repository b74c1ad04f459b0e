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
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import queue
    from collections.abc import Callable, Iterator
    from types import ModuleType

__all__ = [
    "RLock",
    "SimpleQueue",
    "call_handed_over",
    "eventlet",
    "gevent",
    "hand_over",
    "original",
    "start_thread",
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
    if not (gevent() or eventlet()):
        threading.Thread(target=function, name=name, daemon=True).start()
        return

    if threading.get_native_id() not in _ours:
        _capture_greenlets()

    def run() -> None:
        # Made by this call, for whoever asks for the thread's name, such as logging.
        threading.current_thread().name = name
        _ours.add(number := threading.get_native_id())
        try:
            function()
        finally:
            _ours.discard(number)

    if gevent():
        original("_thread", "start_new_thread")(run, ())
    else:
        original("threading", "Thread")(target=run, daemon=True).start()


def hand_over(function: Callable[..., object], *args: object) -> None:
    """
    Call what may wait for greenlets: soon and in a greenlet, if this is a thread of ours.

    In any other thread, and where threads are threads, it is called at once.

    Args:
        function: What to call.
        args: Its arguments.
    """
    if threading.get_native_id() in _ours and _greenlets is not None:
        _greenlets.call(function, *args)
    else:
        function(*args)


def call_handed_over() -> None:
    """Call what was handed over and not called yet: the process is about to end."""
    if _greenlets is not None and threading.get_native_id() not in _ours:
        _greenlets.call_all()


class _Greenlets:
    """
    The greenlets of the thread that this is made in, to call something there.

    Attributes:
        process: The id of the process: a child has other greenlets.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self._calls: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = (
            SimpleQueue()
        )
        if gevent():
            self._wake = _waking_gevent(self.call_all)
        else:
            self._wake = _waking_eventlet(self.call_all)

    def call(self, function: Callable[..., object], *args: object) -> None:
        self._calls.put((function, args))
        self._wake()

    def call_all(self) -> None:
        for function, args in self._taken():
            function(*args)

    def _taken(self) -> Iterator[tuple[Callable[..., object], tuple[object, ...]]]:
        with contextlib.suppress(_queue.Empty):
            while True:
                yield self._calls.get_nowait()


# The threads of ours where threads are greenlets, by the numbers of the operating system.
_ours: set[int] = set()
_greenlets: _Greenlets | None = None


def _capture_greenlets() -> None:
    global _greenlets  # noqa: PLW0603 - of the process
    if _greenlets is None or _greenlets.process != os.getpid():
        _greenlets = _Greenlets()


def _waking_gevent(function: Callable[[], None]) -> Callable[[], None]:
    library = import_module("gevent")
    loop = library.get_hub().loop

    def wake() -> None:
        loop.run_callback_threadsafe(library.spawn, function)

    return wake


def _waking_eventlet(function: Callable[[], None]) -> Callable[[], None]:
    trampoline = import_module("eventlet.hubs").trampoline
    read, write = original("os", "read"), original("os", "write")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def serve() -> None:
        while True:
            trampoline(reader, read=True)
            read(reader, 4096)
            function()

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
