"""
The types of an ASGI application and of what a server calls it with.

ASGI 3.0, `specification <https://asgi.readthedocs.io/en/latest/specs/main.html>`_. The
values of scopes and messages depend on their keys and on the server, so they are ``Any``.
Mutable mappings, as in Starlette: an application that took only a ``dict`` could not be
mounted there without a type error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

__all__ = ["ASGIApplication", "Message", "Receive", "Scope", "Send"]

Scope: TypeAlias = MutableMapping[str, Any]
"""What a server knows about a connection."""

Message: TypeAlias = MutableMapping[str, Any]
"""An event that the server tells the application, or the reverse. It has a ``type``."""

Receive: TypeAlias = Callable[[], Awaitable[Message]]
"""Wait for the next message of the client, or for its disconnect."""

Send: TypeAlias = Callable[[Message], Awaitable[None]]
"""Send a message to the client."""

ASGIApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""Serve one connection."""
