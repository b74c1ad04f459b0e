"""A warning about an SQLite file below the current folder."""

from __future__ import annotations

import logging
from pathlib import Path

from ..documentation import page
from ..servers.log_once import warn_once

__all__ = ["warn_of_relative_file"]

_log = logging.getLogger("heliograph.events")

_FILE = "sqlite:///"


def warn_of_relative_file(url: str) -> None:
    """
    Warn, once, that a file is below the current folder: only this process knows which one.

    Args:
        url: Where the channels live.
    """
    path = url.removeprefix(_FILE).partition("?")[0]
    if url.startswith(_FILE) and not path.startswith("/"):
        file = Path(path).absolute()
        warn_once(
            _log,
            f"{url} in {file.parent}",
            f"{url} is the file {file}, below the current folder. A process that is started"
            " in another folder has another file, and exchanges no events with this one."
            f" Write {_FILE}{file} ({page('asgi.md')})",
        )
