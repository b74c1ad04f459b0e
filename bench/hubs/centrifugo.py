"""Centrifugo: a hub in Go, with its memory engine and unidirectional SSE."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import urllib.parse
from typing import TYPE_CHECKING

from .base import (
    FETCHED,
    Hub,
    Running,
    Started,
    event_data,
    free_ports,
    request,
    together,
)

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator, Sequence

VERSION = "6.9.1"
# Clients need no token, publishers no key. Its queue of a client that does not read is 16
# MB instead of 1, and is cut off less easily. History is nchan's, and is what resuming
# would read: unidirectional SSE has no ids for that.
CONFIGURATION = {
    "http_server": {"address": "127.0.0.1"},
    "log": {"level": "error"},
    "usage_stats": {"disabled": True},
    "http_api": {"insecure": True},
    "uni_sse": {"enabled": True},
    "shutdown": {"timeout": "1s"},
    "client": {"insecure": True, "queue_max_size": 16 << 20},
    "channel": {"without_namespace": {"history_size": 1000, "history_ttl": "1h"}},
}


class CentrifugoRunning(Running):
    """Centrifugo that runs. A stream names its channels in JSON, in its address."""

    def stream_request(
        self, channel: str | Sequence[str] = "a", last_event_id: str | None = None
    ) -> bytes:
        """Return the request of an EventSource."""
        wanted = json.dumps({"subs": {name: {} for name in together(channel)}})
        target = f"/connection/uni_sse?cf_connect={urllib.parse.quote(wanted)}"
        return self.stream_of(target, last_event_id)

    def publish_request(self, channel: str = "a", padding: int = 40) -> bytes:
        """Return a call of its HTTP API."""
        body = f'{{"channel":"{channel}","data":{event_data(padding)}}}'
        return request("POST", "/api/publish", body)


class Centrifugo(Hub):
    """Centrifugo as Go's toolchain builds it, with one thread for Go's code."""

    name = f"Centrifugo {VERSION} (Go)"
    resumes = False

    def why_missing(self) -> str | None:
        """Return why it cannot be had."""
        if shutil.which("go") or self.program().exists():
            return None
        return "Go is not installed: apt-get install golang-go"

    def program(self) -> pathlib.Path:
        """Return where it is built."""
        return FETCHED / "centrifugo" / "centrifugo"

    def set_up(self) -> None:
        """Download and build it, which takes some minutes."""
        if not self.program().exists():
            module = f"github.com/centrifugal/centrifugo/v6@v{VERSION}"
            environment = os.environ | {"GOBIN": str(self.program().parent)}
            subprocess.run(["go", "install", module], env=environment, check=True)

    def start(self, folder: pathlib.Path, streams: int) -> Iterator[Started | Running]:  # noqa: ARG002 - no limit
        """Yield Centrifugo."""
        (port,) = free_ports()
        configuration = folder / "config.json"
        configuration.write_text(json.dumps(CONFIGURATION))
        yield Started(
            [self.program(), "--config", configuration, "--http_server.port", str(port)],
            folder,
            env={"GOMAXPROCS": "1"},
        )
        yield CentrifugoRunning(port)
