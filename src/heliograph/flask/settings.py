"""
The ``SSE_…`` keys of an application's configuration.

Every field of :class:`~heliograph.HubConfig` has one, in capitals. All mistakes are
reported at once, each with what to write instead.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ..brokers import PlainChannels, check_url, with_plain_channels
from ..brokers.plain import PlainFormat
from ..config import HubConfig
from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

__all__ = ["DEFAULT_FILE", "Settings", "read_settings"]

DEFAULT_FILE = "heliograph.sqlite3"
"""Name of the embedded log in the application's instance folder."""

_PREFIX = "SSE_"
_SQLITE = "sqlite:///"

# The first of these that is set wins.
_URL_KEYS = ("SSE_URL", "SSE_REDIS_URL", "REDIS_URL")

_HUB_KEYS = {f"{_PREFIX}{field.name.upper()}": field.name for field in fields(HubConfig)}
_KNOWN_KEYS = [
    *_URL_KEYS,
    "SSE_FLASK_SSE_COMPAT",
    "SSE_PLAIN_FORMAT",
    "SSE_PRIVATE",
    "SSE_TAKE_OVER",
    *_HUB_KEYS,
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What an application has configured.

    Args:
        url: Where the channels live.
        folder: The folder to make first: that of a file below the instance folder.
        hub: Limits and timings.
        private: Whether nothing unsigned or unauthorised gets in.
        take_over: Whether connections are taken over where that is possible.
    """

    url: str
    folder: Path | None
    hub: HubConfig
    private: bool
    take_over: bool


def read_settings(app: Flask) -> Settings:
    """
    Read an application's configuration.

    Args:
        app: Its ``config`` and ``instance_path`` are looked at.

    Returns:
        Valid settings.

    Raises:
        ConfigError: Listing every key that is unknown or has a bad value.
    """
    config = app.config
    problems = [_unknown(key) for key in config if _is_unknown(key)]
    plain_channels = _plain_channels(config, problems)
    url, folder = _url(app, problems, plain_channels)
    private = _flag(config, "SSE_PRIVATE", problems, default=False)
    take_over = _flag(config, "SSE_TAKE_OVER", problems, default=True)
    given = {name: config[key] for key, name in _HUB_KEYS.items() if key in config}
    hub = HubConfig()
    try:
        hub = HubConfig(**given)
    except ConfigError as error:
        problems += [_with_keys(problem) for problem in error.problems]
    if problems:
        raise ConfigError(problems)
    return Settings(
        url=url,
        folder=folder,
        hub=hub,
        private=private,
        take_over=take_over,
    )


def _url(
    app: Flask, problems: list[str], plain_channels: PlainChannels | None
) -> tuple[str, Path | None]:
    for key in _URL_KEYS:
        url = app.config.get(key)
        if not url:
            continue
        try:
            url = with_plain_channels(url, plain_channels)
            check_url(url)
        except ConfigError as error:
            hint = "" if key == "SSE_URL" else "; SSE_URL takes precedence over it"
            problems += [f"{key}: {problem}{hint}" for problem in error.problems]
            return url, None
        return _in_instance_folder(app, url)
    if plain_channels is not None:
        problems.append("SSE_FLASK_SSE_COMPAT needs a Redis, where Flask-SSE is: SSE_URL")
    return _in_instance_folder(app, f"{_SQLITE}{DEFAULT_FILE}")


def _in_instance_folder(app: Flask, url: str) -> tuple[str, Path | None]:
    # Not in the current folder: processes that share the file may be started anywhere.
    path = Path(url.removeprefix(_SQLITE))
    if not url.startswith(_SQLITE) or path.is_absolute():
        return url, None
    folder = Path(app.instance_path)
    return f"{_SQLITE}{folder / path}", (folder / path).parent


def _plain_channels(config: Mapping[str, Any], problems: list[str]) -> PlainChannels | None:
    names = config.get("SSE_FLASK_SSE_COMPAT", False)
    plain_format = config.get("SSE_PLAIN_FORMAT", "flask-sse")
    if plain_format not in get_args(PlainFormat):
        problems.append(
            f'SSE_PLAIN_FORMAT must be "flask-sse" or "text", not {plain_format!r}'
        )
        plain_format = "flask-sse"
    if names is None or names is False or names in ([], ()):
        return None
    if names == "text" or not isinstance(names, str | list | tuple):
        # Both of these once stood for all channels, which a visitor could choose from.
        hint = ', and SSE_PLAIN_FORMAT = "text"' if names == "text" else ""
        problems.append(
            f"SSE_FLASK_SSE_COMPAT must list the channels to exchange, not {names!r}: write"
            f' SSE_FLASK_SSE_COMPAT = ["sse"] (Flask-SSE\'s default channel){hint}'
        )
        return None
    try:
        return PlainChannels(names, format=plain_format)
    except ConfigError as error:
        problems += [f"SSE_FLASK_SSE_COMPAT: {problem}" for problem in error.problems]
        return None


def _flag(
    config: Mapping[str, Any], key: str, problems: list[str], *, default: bool
) -> bool:
    value = config.get(key, default)
    if not isinstance(value, bool):
        problems.append(f"{key} must be True or False, not {value!r}")
        return default
    return value


def _is_unknown(key: str) -> bool:
    return key.startswith(_PREFIX) and key not in _KNOWN_KEYS


def _unknown(key: str) -> str:
    nearest = difflib.get_close_matches(key, _KNOWN_KEYS, n=1, cutoff=0.0)[0]
    return f"{key} is no setting of Heliograph; did you mean {nearest}?"


def _with_keys(problem: str) -> str:
    names = "|".join(_HUB_KEYS.values())
    return re.sub(rf"\b({names})\b", lambda match: f"{_PREFIX}{match[1].upper()}", problem)
