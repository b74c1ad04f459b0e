"""sse-starlette on uvicorn, with a queue for each client."""

from __future__ import annotations

from .base import pinned
from .python_peers import OnUvicorn


class SSEStarlette(OnUvicorn):
    """sse-starlette with its defaults: a ping every 15 seconds, no time-out of sends."""

    application = "sse_starlette_app:app"

    @property
    def name(self) -> str:
        """Return the name with the version."""
        return f"sse-starlette {pinned('sse-starlette')} on uvicorn"
