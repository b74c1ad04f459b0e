"""The floor: a small program in C that does the least a hub in one process has to do."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from load import native

from .base import Hub, Running, Started, free_ports

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator


class Floor(Hub):
    """bench/native/floor.c, which has no channels: each stream gets each event."""

    name = "floor (C)"
    resumes = False

    def why_missing(self) -> str | None:
        """Return why it cannot be built."""
        if shutil.which("cc"):
            return None
        return "there is no C compiler: apt-get install gcc libc6-dev"

    def set_up(self) -> None:
        """Build it."""
        native("floor")

    def start(self, folder: pathlib.Path, streams: int) -> Iterator[Started | Running]:  # noqa: ARG002 - no limit
        """Yield the program."""
        (port,) = free_ports()
        yield Started([native("floor"), str(port)], folder)
        yield Running(port)
