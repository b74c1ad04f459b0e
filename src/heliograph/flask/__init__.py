"""
Server-Sent Events for Flask: what Flask-SSE offers, under the same names, and more.

Needs the extra ``heliograph[flask]``.
"""

from __future__ import annotations

try:
    import itsdangerous as _itsdangerous  # noqa: F401 - likewise

    import flask as _flask  # noqa: F401 - asked for by name, to say what is missing
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"heliograph.flask needs {error.name}: pip install 'heliograph[flask]'",
        name=error.name,
    ) from error

from .message import Message
from .sse import SSE, ServerSentEventsBlueprint, sse

__all__ = ["SSE", "Message", "ServerSentEventsBlueprint", "sse"]
