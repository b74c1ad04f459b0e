"""Whether a server is about to end that waits for streams, and tells nobody."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .asgi import outermost_of_task

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["stopping"]


def stopping() -> Callable[[], bool] | None:
    """
    Give a way to ask whether the server was told to stop that serves the present request.

    Call it in the request's own task, or thread.

    Returns:
        Says so when it is called, in any thread; that of a server equals another of it.
        :obj:`None` if it is not known of the server, or it looks different.
    """
    module, variables = outermost_of_task()
    if module == "gunicorn.asgi.protocol":
        return _of_worker(getattr(variables.get("self"), "worker", None))
    if module == "hypercorn.asyncio.task_group":
        response = getattr(variables.get("send"), "__self__", None)
        terminated = getattr(getattr(response, "context", None), "terminated", None)
        return getattr(terminated, "is_set", None)
    # It is what handles the signal that tells it.
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return _of_uvicorn(server) or _of_worker(server)


@dataclass(frozen=True)
class _Uvicorn:
    server: Any

    def __call__(self) -> bool:
        # With a limit of requests it stops without a signal.
        return self.server.should_exit or not any(
            listening.is_serving() for listening in self.server.servers
        )


@dataclass(frozen=True)
class _Worker:
    worker: Any

    def __call__(self) -> bool:
        return not self.worker.alive


def _of_uvicorn(server: Any) -> Callable[[], bool] | None:
    is_known = (
        _is_of("uvicorn.server", server)
        and isinstance(getattr(server, "should_exit", None), bool)
        and isinstance(getattr(server, "servers", None), list)
    )
    return _Uvicorn(server) if is_known else None


def _of_worker(worker: Any) -> Callable[[], bool] | None:
    is_known = _is_of("gunicorn.workers.", worker) and isinstance(
        getattr(worker, "alive", None), bool
    )
    return _Worker(worker) if is_known else None


def _is_of(modules: str, value: object) -> bool:
    return any(kind.__module__.startswith(modules) for kind in type(value).__mro__)
