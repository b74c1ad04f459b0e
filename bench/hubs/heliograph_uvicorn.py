"""Ours in FastAPI on uvicorn: uvloop and httptools, which uvicorn[standard] has."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .ours import OurHub

if TYPE_CHECKING:
    from collections.abc import Sequence

# As for the peers that uvicorn serves, too.
OPTIONS = (
    *("--loop", "uvloop", "--http", "httptools"),
    *("--host", "127.0.0.1", "--backlog", "4096", "--timeout-keep-alive", "75"),
    *("--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "2"),
)


class HeliographUvicorn(OurHub):
    """Connections are taken over from uvicorn, and written to by the same loop."""

    server = "uvicorn FastAPI"

    def command(self, port: int, streams: int) -> Sequence[str]:  # noqa: ARG002 - no limit
        """Return the one of uvicorn, which limits no streams."""
        return (
            *(sys.executable, "-m", "uvicorn", "heliograph_fastapi:app", *OPTIONS),
            *("--port", str(port), "--workers", str(self.workers)),
        )
