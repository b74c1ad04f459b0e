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
from typing import TYPE_CHECKING, Any

from ..brokers import check_url
from ..config import HubConfig
from ..errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask

    from ..brokers.base import PlainFormat

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
        plain_format: What is exchanged on plain channels of Redis.
    """

    url: str
    folder: Path | None
    hub: HubConfig
    private: bool
    take_over: bool
    plain_format: PlainFormat | None


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
    plain_format = _plain_format(config, problems)
    url, folder = _url(app, problems, plain_format)
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
        plain_format=plain_format,
    )


def _url(
    app: Flask, problems: list[str], plain_format: PlainFormat | None
) -> tuple[str, Path | None]:
    for key in _URL_KEYS:
        url = app.config.get(key)
        if not url:
            continue
        try:
            check_url(url, plain_format=plain_format)
        except ConfigError as error:
            hint = "" if key == "SSE_URL" else "; SSE_URL takes precedence over it"
            problems += [f"{key}: {problem}{hint}" for problem in error.problems]
            return url, None
        return _in_instance_folder(app, url)
    if plain_format is not None:
        problems.append("SSE_FLASK_SSE_COMPAT needs a Redis, where Flask-SSE is: SSE_URL")
    return _in_instance_folder(app, f"{_SQLITE}{DEFAULT_FILE}")


def _in_instance_folder(app: Flask, url: str) -> tuple[str, Path | None]:
    # Not in the current folder: processes that share the file may be started anywhere.
    path = Path(url.removeprefix(_SQLITE))
    if not url.startswith(_SQLITE) or path.is_absolute():
        return url, None
    folder = Path(app.instance_path)
    return f"{_SQLITE}{folder / path}", (folder / path).parent


def _plain_format(config: Mapping[str, Any], problems: list[str]) -> PlainFormat | None:
    value = config.get("SSE_FLASK_SSE_COMPAT", False)
    if value == "text":
        return "text"
    if isinstance(value, bool):
        return "flask-sse" if value else None
    problems.append(f'SSE_FLASK_SSE_COMPAT must be True, False or "text", not {value!r}')
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
