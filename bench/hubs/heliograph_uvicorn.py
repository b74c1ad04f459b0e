"""Ours in FastAPI on uvicorn: uvloop and httptools, which uvicorn[standard] has."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .ours import OurHub, OurRunning

if TYPE_CHECKING:
    from collections.abc import Sequence

# As for the peers that uvicorn serves, too.
OPTIONS = (
    *("--loop", "uvloop", "--http", "httptools"),
    *("--host", "127.0.0.1", "--backlog", "4096", "--timeout-keep-alive", "75"),
    *("--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "2"),
)


class _Running(OurRunning):
    view_path = "/validated"


class HeliographUvicorn(OurHub):
    """
    Connections are taken over from uvicorn, and written to by the same loop.

    Events are published by a view that takes what is posted as it is, as the other hubs do. What
    a publish adds is measured with FastAPI's usual ones, which validate it.
    """

    server = "uvicorn FastAPI"
    applications = "heliograph_fastapi:app", "server_alone:asgi"
    running = _Running

    def command(self, port: int, streams: int) -> Sequence[str]:  # noqa: ARG002 - no limit
        """Return the one of uvicorn, which limits no streams."""
        return (
            *(sys.executable, "-m", "uvicorn", self.application, *OPTIONS),
            *("--port", str(port), "--workers", str(self.workers)),
        )
