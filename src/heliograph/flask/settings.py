"""
The configuration of a Flask application, with the keys of Flask-SSE.

Most of it is read in :mod:`heliograph.faces.settings`. Here are the default folder, the
keys under which Flask-SSE finds its Redis, and the channels to exchange with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ..brokers import PlainChannels
from ..brokers.plain import PlainFormat
from ..errors import ConfigError
from ..faces import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

__all__ = ["FLASK_SSE_KEYS", "URL_ALIASES", "read_settings"]

URL_ALIASES = ("SSE_REDIS_URL", "REDIS_URL")
"""Keys of Flask-SSE for the URL of its Redis, in its order."""

_COMPAT = "SSE_FLASK_SSE_COMPAT"
_FORMAT = "SSE_PLAIN_FORMAT"

FLASK_SSE_KEYS = (_COMPAT, _FORMAT)
"""Keys of what is exchanged with Flask-SSE."""


def read_settings(app: Flask) -> settings.Settings:
    """
    Return the settings of an application.

    Args:
        app: The application. Its ``config`` and ``instance_path`` are read.

    Raises:
        ConfigError: Listing each key that is unknown or has an invalid value.
    """
    problems: list[str] = []
    plain_channels = _plain_channels(app.config, problems)
    url_keys = (settings.URL_KEY, *URL_ALIASES)
    if plain_channels is not None and not any(app.config.get(key) for key in url_keys):
        problems.append(f"{_COMPAT} needs a Redis, where Flask-SSE is: {settings.URL_KEY}")
        plain_channels = None
    return settings.read_settings(
        app.config,
        folder=Path(app.instance_path),
        url_aliases=URL_ALIASES,
        own_keys=FLASK_SSE_KEYS,
        plain_channels=plain_channels,
        problems=problems,
    )


def _plain_channels(config: Mapping[str, Any], problems: list[str]) -> PlainChannels | None:
    names = config.get(_COMPAT, False)
    plain_format = config.get(_FORMAT, "flask-sse")
    if plain_format not in get_args(PlainFormat):
        problems.append(f'{_FORMAT} must be "flask-sse" or "text", not {plain_format!r}')
        plain_format = "flask-sse"
    if names is None or names is False or names in ([], ()):
        return None
    if names == "text" or not isinstance(names, str | list | tuple):
        # "text" and True once stood for all channels; then visitors could choose any.
        hint = f', and {_FORMAT} = "text"' if names == "text" else ""
        problems.append(
            f"{_COMPAT} must list the channels to exchange, not {names!r}: write"
            f' {_COMPAT} = ["sse"] (Flask-SSE\'s default channel){hint}'
        )
        return None
    try:
        return PlainChannels(names, format=plain_format)
    except ConfigError as error:
        problems += [f"{_COMPAT}: {problem}" for problem in error.problems]
        return None
