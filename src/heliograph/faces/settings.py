"""
The settings of an application, read from its keys that begin with ``SSE_``.

Each field of :class:`~heliograph.HubConfig` has a key: its name in capitals, after the
prefix. All mistakes are reported at once, each with what to write instead.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..brokers import check_url, with_plain_channels, without_password
from ..config import HubConfig
from ..documentation import page
from ..errors import ConfigError
from .access import Access

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..brokers import PlainChannels

__all__ = ["DEFAULT_FILE", "KEYS", "URL_KEY", "Settings", "access_of", "read_settings"]

DEFAULT_FILE = "heliograph.sqlite3"
"""Name of the embedded log in the default folder."""

_PREFIX = "SSE_"
_PACKAGE = "HELIOGRAPH_"
_SQLITE = "sqlite:///"
_PRIVATE = "SSE_PRIVATE"
_TAKE_OVER = "SSE_TAKE_OVER"
_HUB_KEYS = {f"{_PREFIX}{field.name.upper()}": field.name for field in fields(HubConfig)}
# A value may be the name of a field: an option of channels is.
_NAMES = "|".join([*_HUB_KEYS.values(), "private"])
_QUOTED_OR_NAME = re.compile(rf"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\b({_NAMES})\b""")

URL_KEY = "SSE_URL"
"""Key of the URL of the channels."""

KEYS = (URL_KEY, _PRIVATE, _TAKE_OVER, *_HUB_KEYS)
"""The keys that every face has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What an application has configured.

    Args:
        url: URL of the channels.
        folder: Folder of the embedded log, to be made before the hub is created;
            :obj:`None` if the application names a file by its absolute path, or has
            another broker.
        hub: Limits and timings.
        private: Whether a client needs a token or an authorizer's ``True``.
        take_over: Whether connections are taken over from the server where that works.
    """

    url: str
    folder: Path | None
    hub: HubConfig
    private: bool
    take_over: bool

    def differences(self, other: Settings) -> list[str]:
        """
        Return the keys that have another value in other settings, the URL's with both.

        Args:
            other: Settings that differ.
        """
        keys = [
            key
            for key, name in _HUB_KEYS.items()
            if getattr(self.hub, name) != getattr(other.hub, name)
        ]
        if self.private != other.private:
            keys.append(_PRIVATE)
        if self.take_over != other.take_over:
            keys.append(_TAKE_OVER)
        if self.url != other.url:
            urls = f"{without_password(self.url)} to {without_password(other.url)}"
            keys.append(f"the URL of the channels ({URL_KEY}; from {urls})")
        return keys


def read_settings(
    config: Mapping[str, Any],
    *,
    folder: Path,
    url_aliases: tuple[str, ...] = (),
    own_keys: tuple[str, ...] = (),
    plain_channels: PlainChannels | None = None,
    problems: Iterable[str] = (),
) -> Settings:
    """
    Return the settings of an application.

    Args:
        config: The configuration of the application. Keys of others may be in it.
        folder: The folder of relative SQLite files, absolute; also of the embedded log that
            is used if no URL is set.
        url_aliases: Keys that hold the URL if ``SSE_URL`` is not set, in the order in which
            they apply.
        own_keys: Keys with the prefix that the face reads itself.
        plain_channels: Channels that the face adds to the URL, which must then be that of a
            Redis; :obj:`None` to add none.
        problems: Mistakes that the face has found in ``own_keys``, to be reported together
            with others.

    Raises:
        ConfigError: Listing each unknown key, each invalid value, each key that asks for a
            shared window although ``SSE_PRIVATE`` is set, and ``problems``.
    """
    known = (*KEYS, *url_aliases, *own_keys)
    found = [_unknown(key, known) for key in config if _is_unknown(key, known)]
    found += problems
    key, url = _configured_url(config, (URL_KEY, *url_aliases))
    try:
        url = with_plain_channels(url, plain_channels)
        check_url(url)
    except ConfigError as error:
        hint = "" if key == URL_KEY else f"; {URL_KEY} takes precedence over it"
        found += [f"{key}: {problem}{hint}" for problem in error.problems]
    private = _flag(config, _PRIVATE, found, default=False)
    take_over = _flag(config, _TAKE_OVER, found, default=True)
    given = {name: config[key] for key, name in _HUB_KEYS.items() if key in config}
    hub = HubConfig()
    try:
        hub = HubConfig(**given)
        Access(private=private, channels=hub.channel_patterns)
    except ConfigError as error:
        found += [_with_keys(problem) for problem in error.problems]
    if found:
        raise ConfigError(found)
    url, made = _in_folder(url, folder)
    return Settings(url=url, folder=made, hub=hub, private=private, take_over=take_over)


def access_of(
    settings: Settings,
    *,
    keys: tuple[str | bytes, ...] = (),
    has_authorizer: bool = False,
    hook_sees_one_channel: bool = False,
) -> Access:
    """
    Return who may open a stream, as far as an application has configured it.

    Call this also where something becomes known that may contradict the settings, so that
    the mistake is reported there and not when the first client comes.

    Args:
        settings: The settings of the application.
        keys: See :class:`.Access`.
        has_authorizer: See :class:`.Access`.
        hook_sees_one_channel: See :class:`.Access`.

    Raises:
        ConfigError: Access is guarded, and a key asks for a shared window.
    """
    try:
        return Access(
            keys=keys,
            private=settings.private,
            has_authorizer=has_authorizer,
            hook_sees_one_channel=hook_sees_one_channel,
            channels=settings.hub.channel_patterns,
        )
    except ConfigError as error:
        raise ConfigError(map(_with_keys, error.problems)) from None


def _configured_url(config: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[str, str]:
    """Return the first key that is set, and its URL; otherwise the default."""
    for key in keys:
        url = config.get(key)
        if url:
            return key, url
    return URL_KEY, f"{_SQLITE}{DEFAULT_FILE}"


def _in_folder(url: str, folder: Path) -> tuple[str, Path | None]:
    # Not in the current folder: processes that share the file may be started anywhere.
    path = Path(url.removeprefix(_SQLITE))
    if not url.startswith(_SQLITE) or path.is_absolute():
        return url, None
    return f"{_SQLITE}{folder / path}", (folder / path).parent


def _flag(
    config: Mapping[str, Any], key: str, problems: list[str], *, default: bool
) -> bool:
    value = config.get(key, default)
    if not isinstance(value, bool):
        problems.append(f"{key} must be True or False, not {value!r}")
        return default
    return value


def _is_unknown(key: str, known: tuple[str, ...]) -> bool:
    name = key.upper()
    # With the name of the package in front it may also be a key of the application's own.
    is_ours = name.startswith(_PREFIX) or name.replace(_PACKAGE, _PREFIX, 1) in known
    return is_ours and key not in known


def _unknown(key: str, known: tuple[str, ...]) -> str:
    name = key.upper().replace(_PACKAGE, _PREFIX, 1)
    # Without the prefix, which would make all keys look alike.
    names = [each.removeprefix(_PREFIX) for each in known if each.startswith(_PREFIX)]
    nearest = difflib.get_close_matches(name.removeprefix(_PREFIX), names, n=1)
    hint = (
        f"did you mean {_PREFIX}{nearest[0]}?"
        if nearest
        else f"see {page('configuration.md')}"
    )
    return f"{key} is no setting of Heliograph; {hint}"


def _with_keys(problem: str) -> str:
    """Return a problem with the names of fields as keys; what it quotes stays as it is."""
    return _QUOTED_OR_NAME.sub(
        lambda match: f"{_PREFIX}{match[1].upper()}" if match[1] else match[0], problem
    )
