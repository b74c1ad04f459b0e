"""Where channels live. :func:`open_broker` makes the broker that a URL names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from ..errors import ConfigError
from .base import Broker, History, Retention
from .plain import PlainChannels

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Broker",
    "History",
    "PlainChannels",
    "Retention",
    "check_url",
    "open_broker",
    "without_password",
]

_KNOWN = (
    'write "sqlite:///relative/or//absolute/path" (an embedded file that all processes '
    'of the machine share), "redis://host:6379/0" or "memory:" (this process only)'
)

_REDIS_SCHEMES = {
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
}

_DEFAULT_RETENTION = Retention(events=10_000, seconds=86_400.0)


def open_broker(
    url: str,
    retention: Retention = _DEFAULT_RETENTION,
    *,
    plain_channels: PlainChannels | None = None,
) -> Broker:
    """
    Make the broker that a URL names.

    Nothing is opened before :meth:`Broker.open`, so a broker may be made before a fork.

    Args:
        url: ``memory:``; ``sqlite:///path`` (``sqlite:////path`` if absolute), with
            ``?mode=0660`` to share it with a group (see ``docs/deployment.md``); or a
            Redis (see ``docs/redis.md``): ``redis://``, ``rediss://``, ``unix://``,
            ``redis+sentinel://``, ``redis+cluster://``.
        retention: How much history is kept per channel.
        plain_channels: The channels of Redis to exchange with programs that know nothing
            of Heliograph; :obj:`None` for none.

    Returns:
        A broker that is not open yet.

    Raises:
        ConfigError: The URL is not one of these, or is not of a Redis and there are plain
            channels.
    """
    return check_url(url, plain_channels=plain_channels)(retention)


def check_url(
    url: str, *, plain_channels: PlainChannels | None = None
) -> Callable[[Retention], Broker]:
    """
    Find the broker of a URL without making it.

    Args:
        url: As for :func:`open_broker`.
        plain_channels: As for :func:`open_broker`.

    Returns:
        What makes the broker when given the retention.

    Raises:
        ConfigError: As :func:`open_broker`.
    """
    if not isinstance(url, str):
        raise ConfigError([f"a broker's URL must be str, not {url!r}; {_KNOWN}"])
    scheme, colon, rest = url.partition(":")
    if not isinstance(plain_channels, PlainChannels | None):
        raise ConfigError(
            [f"plain_channels must be PlainChannels([…]) or None, not {plain_channels!r}"]
        )
    if plain_channels is not None and scheme not in _REDIS_SCHEMES:
        raise ConfigError(
            [f"plain channels are Redis's, {without_password(url)!r} has none"]
        )
    # Drivers are imported here and not above: each may need an extra.
    match scheme:
        case "memory" if colon and not rest:
            from .memory import MemoryBroker  # noqa: PLC0415 - see above

            return MemoryBroker
        case "sqlite":
            from .sqlite import SqliteBroker  # noqa: PLC0415 - see above

            path, mode = _sqlite_path(url)
            return lambda retention: SqliteBroker(path, retention, mode=mode)
        case _ if scheme in _REDIS_SCHEMES:
            try:
                from .redis import Address, RedisBroker  # noqa: PLC0415 - see above
            except ModuleNotFoundError as error:
                raise ConfigError([str(error)]) from error

            address = Address.parse(url)
            return lambda retention: RedisBroker(
                address, retention, plain_channels=plain_channels
            )
        case _:
            raise ConfigError([f"no broker for {without_password(url)!r}; {_KNOWN}"])


def _sqlite_path(url: str) -> tuple[str, int]:
    path, question, options = url.removeprefix("sqlite:///").rpartition("?")
    if not question or "/" in options:
        # No option has a slash: the question mark is of a folder's name.
        path, options = path + question + options, ""
    if not url.startswith("sqlite:///") or not path or "\0" in path or path.endswith("/"):
        raise ConfigError([f"{url!r} names no file; {_KNOWN}"])
    problems, mode = [], "0600"
    for number, (name, value) in enumerate(parse_qsl(options, keep_blank_values=True)):
        if name != "mode" or number:
            hint = "stands there twice" if name == "mode" else "is none; did you mean mode?"
            problems.append(f"{url!r}: the option {name!r} {hint}")
        elif not re.fullmatch("0?6[046][04]", value):
            problems.append(
                f"{url!r}: mode must be 0600 (nobody else, the default), 0640, 0644, 0660"
                f" (the members of the file's group, too) or 0664, not {value!r}"
            )
        else:
            mode = value
    if options and not parse_qsl(options, keep_blank_values=True):
        problems.append(f"{url!r}: {options!r} is no option; write mode=0660 or the like")
    if problems:
        raise ConfigError(problems)
    return path, int(mode, 8)


def without_password(url: str) -> str:
    """
    Give a URL as it may be shown: without user, password and options.

    Args:
        url: Any text.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition(":")[0] + ":…"
    rest = parts.path + parts.query + parts.fragment
    if "@" in rest:
        # A slash or the like in a password that is not encoded.
        return f"{parts.scheme}:…"
    _, at, host = parts.netloc.rpartition("@")
    if not at and not parts.query:
        return url
    netloc = f"…@{host}" if at else host
    return parts._replace(netloc=netloc, query="", fragment="").geturl()
