"""Whether a server is about to end that waits for streams, which do not end."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["stopping", "worker_stopping"]


def stopping() -> Callable[[], bool] | None:
    """
    Give a way to ask whether the server of this process was told to stop.

    Returns:
        Says so when it is called, in any thread. :obj:`None` if it is neither a worker of
        gunicorn that serves WSGI nor uvicorn, or looks different.
    """
    # It is what handles the signal that tells it.
    server: Any = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    if not _is_of("uvicorn.server", server):
        return worker_stopping(server)
    listening = getattr(server, "servers", None)
    if not isinstance(getattr(server, "should_exit", None), bool) or not listening:
        return None
    # With a limit of requests it stops and does not say so.
    return lambda: server.should_exit or not listening[0].is_serving()


def worker_stopping(worker: Any) -> Callable[[], bool] | None:
    """
    Give a way to ask whether a worker of gunicorn was told to stop.

    Args:
        worker: Anything.

    Returns:
        See :func:`stopping`. :obj:`None` if it is no such worker, or looks different.
    """
    if not _is_of("gunicorn.workers.", worker) or not isinstance(
        getattr(worker, "alive", None), bool
    ):
        return None
    return lambda: not worker.alive


def _is_of(modules: str, value: object) -> bool:
    return any(kind.__module__.startswith(modules) for kind in type(value).__mro__)
