"""What both of ours have in common: settings, and how they reach the application."""

from __future__ import annotations

import json
import urllib.request
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from .base import HERE, Hub, Running, Started, free_ports

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator, Sequence

# Limits are above what is measured. History is as long as the peers' that have one.
SETTINGS = {
    "max_subscribers": 50_000,
    "max_subscribers_per_channel": 50_000,
    "max_channels": 100_000,
    "history_events": 1000,
}


class OurRunning(Running):
    """
    An application with Heliograph that runs.

    Attributes:
        url: Of its broker, for another process that publishes.
        view_path: What stands before the paths of the framework's usual views.
    """

    view_path = ""
    url = ""

    def publish_within(self, first: int, rate: float, seconds: float) -> int:
        """Have the application publish by itself, and return how many events it has."""
        query = f"first={first}&rate={rate}&seconds={seconds}"
        url = f"http://127.0.0.1:{self.port}/within?{query}"
        urllib.request.urlopen(urllib.request.Request(url, method="POST")).close()
        return int(rate * seconds)

    def view_requests(self) -> dict[str, bytes]:
        """Return what the framework's usual view publishes, and what one that does not."""
        publish = self.publish_request()
        return {
            view: publish.replace(b"/publish?", f"{self.view_path}/{view}?".encode())
            for view in ("plain", "publish")
        }


class OurHub(Hub):
    """
    Heliograph in an application, in the environment that runs the bench.

    Args:
        url: Of its broker. `{folder}` in it becomes a new private folder, as in
            `"sqlite:///{folder}/events.sqlite3"`. A Redis is the caller's.
        settings: Fields of `HubConfig` beside `SETTINGS`, such as `compression`.
        workers: Processes that listen on the one port.
        label: What tables call it where several of ours are compared.
        is_alone: Whether the server has an application without Heliograph and framework.

    Attributes:
        applications: What is served with Heliograph, and what is if the server is alone.
    """

    server: str
    applications: tuple[str, str]
    running = OurRunning

    def __init__(
        self,
        url: str = "memory:",
        settings: dict[str, Any] | None = None,
        *,
        workers: int = 1,
        label: str = "",
        is_alone: bool = False,
    ) -> None:
        self.url = url
        self.settings = SETTINGS | (settings or {})
        self.workers = workers
        self.application = self.applications[is_alone]
        package, framework = self.server.split()
        self.name = f"Heliograph, {framework} on {package} {version(package)}{label}"

    def why_missing(self) -> str | None:
        """Return None: whoever runs the bench has it."""
        return None

    def command(self, port: int, streams: int) -> Sequence[str]:
        """Return the command that serves the application on a port."""
        raise NotImplementedError

    def start(self, folder: pathlib.Path, streams: int) -> Iterator[Started | Running]:
        """Yield the server."""
        (port,) = free_ports()
        running = self.running(port)
        running.url = self.url.replace("{folder}", str(folder))
        environment = {
            "URL": running.url,
            "SETTINGS": json.dumps(self.settings),
            "PYTHONPATH": str(HERE.parent / "programs"),
        }
        yield Started(
            self.command(port, streams), folder, cwd=HERE / "apps", env=environment
        )
        yield running
