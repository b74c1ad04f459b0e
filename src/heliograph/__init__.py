"""
Push events from Python web applications to browsers.

Importing this module needs the standard library only. Each framework has a module of its
own, which is named for it: :mod:`heliograph.flask`, :mod:`heliograph.asgi`. The CORS engine
is :mod:`heliograph.cors`.
"""

from __future__ import annotations

from .config import HubConfig
from .errors import (
    BrokerUnavailableError,
    ChannelEndedError,
    ConfigError,
    CorsConfigError,
    EventTooLargeError,
    HeliographError,
    HubClosedError,
    InvalidFieldError,
    InvalidStreamIdError,
    TooManyRetainedError,
    TooManySubscribersError,
    WireError,
)
from .event import Event
from .wire.encoder import encode, encode_comment
from .wire.parser import EventStreamParser

__all__ = [
    "BrokerUnavailableError",
    "ChannelEndedError",
    "ConfigError",
    "CorsConfigError",
    "Event",
    "EventStreamParser",
    "EventTooLargeError",
    "HeliographError",
    "HubClosedError",
    "HubConfig",
    "InvalidFieldError",
    "InvalidStreamIdError",
    "TooManyRetainedError",
    "TooManySubscribersError",
    "WireError",
    "encode",
    "encode_comment",
]

__version__ = "0.1.0.dev0"
