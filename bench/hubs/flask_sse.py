"""Flask-SSE on gunicorn with gevent, and a Redis of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import (
    HERE,
    Running,
    Started,
    debian,
    free_ports,
    install_debian,
    peers_python,
    pinned,
)
from .python_peers import ALONE, PythonPeer

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator


class FlaskSSE(PythonPeer):
    """
    Flask-SSE as its documentation runs it: one worker of gevent.

    Each stream has a connection to Redis, so it takes two descriptors of the worker, and
    Redis is allowed as many clients; its output buffers of subscribers have no limit. Redis
    stores nothing. It runs on the same core: both are what this hub needs. A stream
    subscribes after its head was sent, so events of the first second may not reach it.
    """

    @property
    def name(self) -> str:
        """Return the name with the versions."""
        return f"Flask-SSE {pinned('flask-sse')} on gunicorn gevent, Redis"

    def why_missing(self) -> str | None:
        """Return why it cannot be had."""
        return debian("redis-server", "redis-server")

    def set_up(self) -> None:
        """Install Redis and the Python packages."""
        install_debian("redis-server")
        super().set_up()

    def start(self, folder: pathlib.Path, streams: int) -> Iterator[Started | Running]:
        """Yield Redis, then gunicorn."""
        port, redis_port = free_ports(2)
        yield Started(
            [
                *("redis-server", "--bind", "127.0.0.1", "--port", str(redis_port)),
                *("--save", "", "--appendonly", "no", "--maxclients", str(streams + 1000)),
                *("--client-output-buffer-limit", "pubsub", "0", "0", "0"),
                *("--tcp-backlog", "4096", "--dir", folder),
            ],
            folder,
        )
        yield Started(
            [
                *(peers_python(), "-m", "gunicorn", "flask_sse_app:app"),
                *("--bind", f"127.0.0.1:{port}", "--worker-class", "gevent"),
                *("--worker-connections", str(streams + 1000), "--backlog", "4096"),
                *("--keep-alive", "75", "--log-level", "warning"),
                *("--graceful-timeout", "2"),
            ],
            folder,
            cwd=HERE / "apps",
            env=ALONE | {"REDIS_URL": f"redis://127.0.0.1:{redis_port}"},
        )
        yield Running(port)
