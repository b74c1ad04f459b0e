"""FastAPI's own SSE on uvicorn, with a queue for each client."""

from __future__ import annotations

from .base import pinned
from .python_peers import OnUvicorn


class FastAPISSE(OnUvicorn):
    """`fastapi.sse` as FastAPI's documentation shows it: a path operation that yields."""

    application = "fastapi_sse_app:app"

    @property
    def name(self) -> str:
        """Return the name with the version."""
        return f"FastAPI {pinned('fastapi')}'s SSE on uvicorn"
