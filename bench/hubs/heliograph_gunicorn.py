"""Ours in Flask on gunicorn: one worker of gthread with four threads."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .ours import OurHub

if TYPE_CHECKING:
    from collections.abc import Sequence


class HeliographGunicorn(OurHub):
    """
    Connections are taken over, and written to by the loop in the hub's thread: uvloop.

    A stream that is taken over does not count for `--worker-connections`, so its default of
    1,000 would do for any number of streams. It is raised for those that are being opened
    or publish, and to say that it is not what limits.
    """

    server = "gunicorn Flask"
    applications = "heliograph_flask:app", "server_alone:wsgi"

    def command(self, port: int, streams: int) -> Sequence[str]:
        """Return gunicorn's."""
        return (
            *(sys.executable, "-m", "gunicorn", self.application),
            *("--bind", f"127.0.0.1:{port}", "--workers", str(self.workers)),
            *("--worker-class", "gthread", "--threads", "4"),
            *("--worker-connections", str(streams + 1000), "--backlog", "4096"),
            *("--keep-alive", "75", "--log-level", "warning", "--graceful-timeout", "2"),
        )
