"""
Push events from Python web applications to browsers.

Importing this module needs the standard library only. Each framework has a module of its
own, which is named for it: :mod:`heliograph.flask`, :mod:`heliograph.asgi`. The CORS engine
is :mod:`heliograph.cors`. :class:`Publisher` and :class:`AsyncPublisher` publish from any
program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import HubConfig
from .errors import (
    BrokerUnavailableError,
    ChannelEndedError,
    ConfigError,
    ConnectionLostError,
    CorsConfigError,
    EventSourceError,
    EventTooLargeError,
    HeliographError,
    HubClosedError,
    InvalidFieldError,
    InvalidStreamIdError,
    StreamRefusedError,
    TooManyRetainedError,
    TooManySubscribersError,
    WireError,
)
from .event import Event
from .wire.encoder import encode, encode_comment
from .wire.parser import EventStreamParser

if TYPE_CHECKING:
    from .publisher import AsyncPublisher, Publisher

__all__ = [
    "AsyncPublisher",
    "BrokerUnavailableError",
    "ChannelEndedError",
    "ConfigError",
    "ConnectionLostError",
    "CorsConfigError",
    "Event",
    "EventSourceError",
    "EventStreamParser",
    "EventTooLargeError",
    "HeliographError",
    "HubClosedError",
    "HubConfig",
    "InvalidFieldError",
    "InvalidStreamIdError",
    "Publisher",
    "StreamRefusedError",
    "TooManyRetainedError",
    "TooManySubscribersError",
    "WireError",
    "encode",
    "encode_comment",
]

__version__ = "0.1.0.dev0"


def __getattr__(name: str) -> Any:
    """Import publishers when they are asked for: with them come the hub and the faces."""
    if name in {"AsyncPublisher", "Publisher"}:
        from . import publisher  # noqa: PLC0415 - only now

        return getattr(publisher, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
