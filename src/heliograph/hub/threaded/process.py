"""
The hubs of a process, when it forks and when it ends.

A thread does not survive a fork: in the child everything begins anew, and what was
inherited is neither used nor finalised, because the parent still uses it. When the process
ends its streams are finished and the loop's thread is joined.

A fork in the middle of an import leaves a lock in the child that nobody releases. So what
a hub needs is imported before it works: brokers behind a lock that a fork waits for, and
here what the interpreter itself imports when a thread first resolves a name.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread
import encodings.idna  # noqa: F401 - see above
import os
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

from ... import native
from ...brokers.sqlite import worker  # noqa: F401 - first: its fork hooks run after ours
from ...logs import Logger
from . import endings, loop

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from ..hub import Hub

__all__ = [
    "Opener",
    "add_hub",
    "add_opener",
    "close_hub_soon",
    "completed",
    "hub_of",
    "is_forking_here",
]

_log = Logger("heliograph.hub")


class Opener(Protocol):
    """Opens hubs, and has to be told of forks."""

    def forget_parent(self) -> Iterable[object]:
        """
        Begin anew: after a fork, in the child.

        Returns:
            What is of the parent, and must not be finalised in the child.
        """
        ...


_openers: weakref.WeakSet[Opener] = weakref.WeakSet()
_hubs: dict[int, Hub] = {}
# Hubs that are closing: their streams may not have ended yet.
_closing: dict[Hub, asyncio.Task[None]] = {}
_completing: set[asyncio.Task[None]] = set()
# The threads that are forking the process, each from the moment before to the moment after.
_forking: set[int] = set()
# What a fork copied and must not be finalised: it is the parent's.
_inherited: list[object] = []


def add_opener(opener: Opener) -> None:
    """
    Tell somebody of forks.

    Args:
        opener: Kept weakly.
    """
    _openers.add(opener)


def add_hub(hub: Hub) -> None:
    """
    Close a hub with the process. Called on the loop.

    Args:
        hub: Is open.
    """
    _hubs[hub.number] = hub


def hub_of(number: int) -> Hub | None:
    """
    Return an open hub of this process. May be called in any thread, without a lock.

    Args:
        number: Of the hub.

    Returns:
        :obj:`None` if it has been closed, or is a parent's.
    """
    return _hubs.get(number)


def is_forking_here() -> bool:
    """Return whether the calling thread is forking the process: it was interrupted."""
    return threading.get_ident() in _forking


def close_hub_soon(hub: Hub) -> asyncio.Task[None]:
    """
    Close a hub, and do not wait. Called on the loop.

    Args:
        hub: One that is closed already is left alone.

    Returns:
        A task that ends when the hub is closed.
    """
    _hubs.pop(hub.number, None)
    task = _closing.get(hub)
    if task is None:
        task = _closing[hub] = asyncio.get_running_loop().create_task(hub.close())
        task.add_done_callback(lambda _: _closing.pop(hub, None))
    return task


async def completed(coroutine: Coroutine[None, None, None]) -> None:
    """
    Wait for a coroutine, which continues if the caller stops waiting.

    Args:
        coroutine: What to do on the loop.
    """
    task = asyncio.create_task(coroutine)
    _completing.add(task)
    task.add_done_callback(_completing.discard)
    await asyncio.shield(task)


async def _close_all() -> None:
    closing = [close_hub_soon(hub) for hub in (*_hubs.values(), *_closing)]
    for outcome in await asyncio.gather(*closing, return_exceptions=True):
        if isinstance(outcome, Exception):
            _log.error("cannot close a hub", exc_info=outcome)


def _close_with_process() -> None:
    current = loop.process.current
    if current is None or current.process != os.getpid():
        return
    try:
        loop.run(_close_all(), loop.CLOSE_SECONDS)
    except TimeoutError:
        _log.error(
            "not all hubs were closed %g seconds after the process had begun to end:"
            " what they were storing may be lost",
            loop.CLOSE_SECONDS,
        )
    except Exception:  # noqa: BLE001 - a hub that cannot be closed must not stop the exit
        _log.exception("cannot close the hub")
    with loop.process.starting:
        loop.process.has_ended = True
    current.stop()
    endings.call_all(loop.CLOSE_SECONDS)


def _finish_streams() -> None:
    if not _other_threads_continue():
        loop.post(_finish_all)


def _other_threads_continue() -> bool:
    # A program may leave its main thread and continue in another, which the interpreter
    # waits for; in a server's thread, perhaps.
    executors = getattr(concurrent.futures.thread, "_threads_queues", {})
    return any(
        not thread.daemon
        and thread is not threading.main_thread()
        and thread not in executors
        for thread in threading.enumerate()
    )


def _finish_all() -> None:
    for hub in tuple(_hubs.values()):
        hub.finish_all()


def _before_fork() -> None:
    _forking.add(threading.get_ident())
    loop.process.starting.acquire()


def _after_fork_in_parent() -> None:
    loop.process.starting.release()
    _forking.discard(threading.get_ident())


def _after_fork_in_child() -> None:
    hubs = (*_hubs.values(), *_closing)
    # Our copies of the descriptors would keep clients from seeing the end of a stream that
    # the parent closes.
    for hub in hubs:
        hub.connections.close_copies()
    _inherited.extend((loop.process.current, *hubs, *_closing.values(), *_completing))
    for opener in tuple(_openers):
        _inherited.extend(opener.forget_parent())
    for kept in (_hubs, _closing, _completing, _forking):
        kept.clear()
    loop.process.current = None
    loop.process.starting = native.RLock()


atexit.register(_close_with_process)
# Threads of an executor, as gunicorn's gthread has them, are waited for before atexit hooks
# run. Those that serve a generator would wait for the end of their streams, so that comes
# first. The hub stays open for what hooks may publish. The interpreter has had this since
# 3.9; where it is gone, such a worker ends with gunicorn's time-out.
if hasattr(threading, "_register_atexit"):
    threading._register_atexit(_finish_streams)  # noqa: SLF001 - see above
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
