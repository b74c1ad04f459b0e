"""Whether a worker of gunicorn is about to end: it waits for generators, which do not."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["stopping"]


def stopping() -> Callable[[], bool] | None:
    """
    Give a way to ask whether this process is a worker that was told to stop.

    Returns:
        Says so when it is called, in any thread. :obj:`None` if this is no worker of
        gunicorn that serves WSGI, or one that looks different.
    """
    # It is what handles the signal that tells it.
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    of_gunicorn = any(
        kind.__module__.startswith("gunicorn.workers.") for kind in type(worker).__mro__
    )
    if not of_gunicorn or not isinstance(getattr(worker, "alive", None), bool):
        return None
    return lambda: not worker.alive  # type: ignore[union-attr]  # it was there
