"""What is said, once for each process, about a set-up that will hurt."""

from __future__ import annotations

import logging
import sys
from typing import Any

from ..servers.wsgi import is_encrypted

__all__ = ["advise_about_uwsgi", "advise_about_waiting"]

_log = logging.getLogger("heliograph.flask")

_told: set[str] = set()


def advise_about_uwsgi() -> None:
    """Say that uWSGI runs no threads, where it does not: at start."""
    uwsgi = sys.modules.get("uwsgi")
    options = getattr(uwsgi, "opt", None)
    if options is not None and not {"enable-threads", "threads"} & set(options):
        _tell(
            "uWSGI runs Python without threads, so no event will ever be sent."
            " Start it with --enable-threads (enable-threads = true)."
        )


def advise_about_waiting(environ: dict[str, Any]) -> None:
    """
    Say what a stream holds that could not be taken over.

    Args:
        environ: Its request, as the server made it.
    """
    server = environ.get("SERVER_SOFTWARE", "this server")
    if is_encrypted(environ):
        _tell(
            f"Each open stream holds a thread of {server}, because it ends TLS itself:"
            " with as many streams as threads the site stands still. Let a proxy such as"
            " nginx end TLS (docs/deployment.md)."
        )
    elif environ.get("wsgi.multithread"):
        _tell(
            f"Each open stream holds a thread of {server}: with as many streams as threads"
            " the site stands still. Give it more threads than there will be streams, or"
            " use a server whose connections can be taken over, such as gunicorn"
            " (docs/servers.md)."
        )
    else:
        _tell(
            f"{server} answers one request at a time here, and a stream does not end:"
            " nothing else is answered while one is open. Use a server whose connections"
            " can be taken over, such as gunicorn (docs/servers.md)."
        )


def _tell(text: str) -> None:
    if text not in _told:
        _told.add(text)
        _log.warning(text)
