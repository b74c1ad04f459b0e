"""Warnings about problems to expect in an ASGI set-up, logged once by each process."""

from __future__ import annotations

import logging
import os

from ..documentation import page
from ..servers.asgi_processes import has_several_processes
from ..servers.log_once import warn_once

__all__ = ["about_memory"]

_log = logging.getLogger("heliograph.asgi")

# The ids of the processes of which it is known: a child of a fork is another one.
_looked_at: set[int] = set()


def about_memory(url: str) -> None:
    """
    Warn about processes that share no storage: they do not get each other's events.

    Call it in the task of a request, as the server has made it.

    Args:
        url: The URL of the channels.
    """
    if url != "memory:" or os.getpid() in _looked_at:
        return
    # Once: this is called for each stream, and a server's number does not change.
    _looked_at.add(os.getpid())
    if has_several_processes():
        warn_once(
            _log,
            "memory",
            "the URL of these streams is memory:, and there are several processes here: an"
            " event reaches the streams of the process that publishes it, and no others."
            " Let them share a file, sqlite:////absolute/path, or a Redis"
            f" ({page('asgi.md')})",
        )
