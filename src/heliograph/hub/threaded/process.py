"""
The hubs of a process, when it forks and when it ends.

A thread does not survive a fork: in the child everything begins anew, and what was
inherited is neither used nor finalised, because the parent still uses it. When the process
ends its streams are finished and the loop's thread is joined.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread
import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING, Protocol

from ...brokers.sqlite import worker  # noqa: F401 - first: its fork hooks run after ours
from . import endings, loop

if TYPE_CHECKING:
    from ..hub import Hub

__all__ = ["Opener", "add_hub", "add_opener", "close_hub", "close_hub_soon", "hub_of"]

_log = logging.getLogger("heliograph.hub")


class Opener(Protocol):
    """Opens hubs, and has to be told of forks."""

    def hold_opening(self) -> None:
        """Wait for an opening under way, and let no other begin: before a fork."""
        ...

    def let_opening_continue(self) -> None:
        """Allow hubs to be opened again: after a fork, in the parent."""
        ...

    def forget_parent(self) -> None:
        """Begin anew: after a fork, in the child."""
        ...


_openers: weakref.WeakSet[Opener] = weakref.WeakSet()
_hubs: dict[int, Hub] = {}
_closing: set[asyncio.Task[None]] = set()
# Openers that a fork holds, from the moment before to the moment after.
_held: list[Opener] = []
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


async def close_hub(hub: Hub) -> None:
    """
    Close a hub. Called on the loop.

    Args:
        hub: One that was closed already is left alone.
    """
    if _hubs.pop(hub.number, None) is not None:
        await hub.close()


def close_hub_soon(hub: Hub) -> None:
    """
    Close a hub, and do not wait. Called on the loop.

    Args:
        hub: As for :func:`close_hub`.
    """
    task = asyncio.get_running_loop().create_task(close_hub(hub))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _close_all() -> None:
    outcomes = await asyncio.gather(
        *(close_hub(hub) for hub in tuple(_hubs.values())),
        *_closing,
        return_exceptions=True,
    )
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            _log.error("cannot close a hub", exc_info=outcome)


def _close_with_process() -> None:
    current = loop.process.current
    if current is None or current.process != os.getpid():
        return
    try:
        loop.run(_close_all(), loop.CLOSE_SECONDS)
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


def _hold_openings() -> None:
    # Opening a hub imports modules; a child would inherit the locks of a half-done import,
    # and nobody there would finish it.
    for opener in tuple(_openers):
        opener.hold_opening()
        _held.append(opener)
    loop.process.starting.acquire()


def _let_openings_continue() -> None:
    loop.process.starting.release()
    while _held:
        _held.pop().let_opening_continue()


def _begin_anew_in_child() -> None:
    _inherited.extend((loop.process.current, *_hubs.values(), *_closing))
    _hubs.clear()
    _closing.clear()
    loop.process.current = None
    loop.process.starting = threading.RLock()
    _held.clear()
    for opener in tuple(_openers):
        opener.forget_parent()


atexit.register(_close_with_process)
# Threads of an executor, as gunicorn's gthread has them, are waited for before atexit hooks
# run. Those that serve a generator would wait for the end of their streams, so that comes
# first. The hub stays open for what hooks may publish. The interpreter has had this since
# 3.9; where it is gone, such a worker ends with gunicorn's time-out.
if hasattr(threading, "_register_atexit"):
    threading._register_atexit(_finish_streams)  # noqa: SLF001 - see above
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_hold_openings,
        after_in_parent=_let_openings_continue,
        after_in_child=_begin_anew_in_child,
    )
