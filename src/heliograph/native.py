"""
Threads and blocking calls of the operating system, whatever has replaced them.

gevent and eventlet replace parts of the standard library in place: a thread that is started
then is a greenlet, which shares its OS thread with all others. asyncio has one running loop
for each OS thread, so a loop of ours in a greenlet would break ``asyncio.run`` and
asynchronous views in all of them, and uvloop would stop the process.

What runs in our own threads takes the names of this module, which nothing replaces.
"""

from __future__ import annotations

import _queue
import _thread
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import queue
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["RLock", "SimpleQueue", "eventlet", "gevent", "original", "start_thread"]

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

    def run() -> None:
        # Made by this call, for whoever asks for the thread's name, such as logging.
        threading.current_thread().name = name
        function()

    if gevent():
        original("_thread", "start_new_thread")(run, ())
    else:
        original("threading", "Thread")(target=run, daemon=True).start()


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
