"""
The face for ASGI: Starlette, FastAPI, Quart, or plain applications.

Needs the standard library only; signed URLs need the extra ``heliograph[asgi]``.
"""

from __future__ import annotations

from .cors import CORSMiddleware
from .streams import EventStreams

__all__ = ["CORSMiddleware", "EventStreams"]
