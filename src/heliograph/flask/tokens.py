"""
Signed, expiring permissions to open a stream of given channels.

The signature covers the channels and the time, so a token opens that selection and no
other. It is made with the application's ``SECRET_KEY``; after a rotation tokens signed
with one of ``SECRET_KEY_FALLBACKS`` are still honoured, as Flask does for sessions.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from itsdangerous import BadSignature, URLSafeSerializer

from ..errors import ConfigError, HeliographError

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["InvalidTokenError", "check_token", "make_token"]

_SALT = "heliograph.stream"


class InvalidTokenError(HeliographError):
    """A token that does not open the stream asked for; the message says why."""


def make_token(app: Flask, channels: tuple[str, ...], expires_in: float) -> str:
    """
    Sign a permission.

    Args:
        app: Has a ``SECRET_KEY``.
        channels: A selection, sorted, each once.
        expires_in: Seconds until it expires, above 0.

    Returns:
        Characters that a URL may contain.

    Raises:
        ConfigError: The application has no ``SECRET_KEY``.
    """
    expires_at = math.ceil(time.time() + expires_in)
    return str(_serializer(app).dumps([expires_at, *channels]))


def check_token(app: Flask, token: str, channels: tuple[str, ...]) -> float:
    """
    Say until when a token opens a stream.

    Args:
        app: The application that signed it.
        token: What a client sent.
        channels: The selection asked for, sorted, each once.

    Returns:
        When it expires, in seconds since the epoch of Unix.

    Raises:
        InvalidTokenError: It is forged, expired, or for other channels.
    """
    if not app.secret_key:
        raise InvalidTokenError("this application signs no tokens")
    try:
        payload = _serializer(app).loads(token)
    except BadSignature as error:
        raise InvalidTokenError("the token is not signed by this application") from error
    expires_at, *signed = payload
    if tuple(signed) != channels:
        raise InvalidTokenError("the token is for other channels")
    if expires_at <= time.time():
        raise InvalidTokenError("the token has expired")
    return float(expires_at)


def _serializer(app: Flask) -> URLSafeSerializer:
    if not app.secret_key:
        raise ConfigError(
            ["signed stream URLs need a SECRET_KEY: app.config['SECRET_KEY'] = …"]
        )
    # itsdangerous signs with the last key and accepts them all.
    keys = [*(app.config.get("SECRET_KEY_FALLBACKS") or []), app.secret_key]
    return URLSafeSerializer(keys, salt=_SALT)
