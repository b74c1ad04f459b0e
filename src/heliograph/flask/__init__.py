"""
Server-Sent Events and CORS for Flask.

What Flask-SSE and Flask-CORS offer, under the same names, and more.

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

from .cors import CORS, cross_origin
from .message import Message
from .sse import SSE, ServerSentEventsBlueprint, sse

__all__ = ["CORS", "SSE", "Message", "ServerSentEventsBlueprint", "cross_origin", "sse"]
