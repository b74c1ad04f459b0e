"""
The other end: streams of events for Python programs.

Needs the extra ``client``. :class:`EventSource` is for threads, :class:`AsyncEventSource`
for asyncio and trio. Both behave as the ``EventSource`` of browsers (WHATWG HTML section
9.2), and read the streams of any server.
"""

from __future__ import annotations

try:
    import anyio as _anyio  # noqa: F401 - likewise
    import httpx2 as _httpx2  # noqa: F401 - asked for by name, to say what is missing
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"heliograph.client needs {error.name}: pip install 'heliograph[client]'",
        name=error.name,
    ) from error

from ..errors import ConnectionLostError, EventSourceError, StreamRefusedError
from .actions import Target
from .asynchronous import AsyncEventSource
from .events import End, Gap, MessageEvent, Opening, ReadyState
from .reconnect import Reconnect
from .sync import EventSource

__all__ = [
    "AsyncEventSource",
    "ConnectionLostError",
    "End",
    "EventSource",
    "EventSourceError",
    "Gap",
    "MessageEvent",
    "Opening",
    "ReadyState",
    "Reconnect",
    "StreamRefusedError",
    "Target",
]
