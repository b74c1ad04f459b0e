"""What the peers that are Python packages have in common: an environment, and servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import HERE, Hub, Running, Started, free_ports, peers_python
from .heliograph_uvicorn import OPTIONS

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

# Modules of the bench and of its environment have names of packages, such as redis.
ALONE = {"PYTHONPATH": ""}


class PythonPeer(Hub):
    """A Python package, installed with the pins of bench/constraints-peers.txt."""

    resumes = False

    def why_missing(self) -> str | None:
        """Return None: whoever has the bench's own packages can install these."""
        return None

    def set_up(self) -> None:
        """Install all Python peers into an environment of theirs."""
        peers_python()


class OnUvicorn(PythonPeer):
    """
    A peer that uvicorn serves, as it serves ours.

    Attributes:
        application: Module and name, in the folder `apps`.
    """

    application: str

    def start(self, folder: pathlib.Path, streams: int) -> Iterator[Started | Running]:  # noqa: ARG002 - no limit
        """Yield uvicorn."""
        (port,) = free_ports()
        command = [peers_python(), "-m", "uvicorn", self.application, *OPTIONS]
        yield Started([*command, "--port", str(port)], folder, cwd=HERE / "apps", env=ALONE)
        yield Running(port)
