"""Whether an ASGI server runs several processes of an application."""

from __future__ import annotations

import multiprocessing
from typing import Any

from .signals import handler_of_stop
from .transport import outermost_of_task

__all__ = ["has_several_processes"]


def has_several_processes() -> bool:
    """
    Return whether other processes serve the same application. Call it in a request's task.

    Returns:
        :obj:`False` also if it is not known: of a single process of several servers, or of
        containers. uvicorn, hypercorn and gunicorn know their number. granian numbers its
        processes, so that the first one does not know.
    """
    return _of_signals() > 1 or _of_task() > 1 or _granian() > 1


def _of_signals() -> int:
    """Return the number that uvicorn, or a gunicorn around it, was given."""
    server = handler_of_stop()
    config = getattr(server, "config", None)
    # gunicorn's worker has uvicorn call it.
    worker = getattr(getattr(config, "callback_notify", None), "__self__", None)
    return max(_workers(config), _workers(getattr(worker, "cfg", None)))


def _of_task() -> int:
    """Return the number that hypercorn, or gunicorn's own worker for ASGI, was given."""
    module, variables = outermost_of_task()
    if module == "hypercorn.asyncio.task_group":
        return _workers(variables.get("config"))
    if module == "gunicorn.asgi.protocol":
        worker = getattr(variables.get("self"), "worker", None)
        return _workers(getattr(worker, "cfg", None))
    return 0


def _granian() -> int:
    """Return the number of this process among those of granian, the first of which is 1."""
    process: Any = multiprocessing.current_process()
    target = getattr(process, "_target", None)
    arguments = getattr(process, "_args", None)
    if not str(getattr(target, "__module__", "")).startswith("granian.") or not arguments:
        return 0
    number = arguments[0]
    return number if isinstance(number, int) else 0


def _workers(config: Any) -> int:
    number = getattr(config, "workers", None)
    return number if isinstance(number, int) else 0
