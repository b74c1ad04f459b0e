"""Where channels live. :func:`open_broker` makes the broker that a URL names."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import ConfigError
from .base import Broker, History, Retention

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Broker", "History", "Retention", "check_url", "open_broker", "without_password"]

_KNOWN = (
    'write "sqlite:///relative/or//absolute/path" (an embedded file that all processes '
    'of the machine share), "redis://host:6379/0" or "memory:" (this process only)'
)

_DEFAULT_RETENTION = Retention(events=10_000, seconds=86_400.0)


def open_broker(url: str, retention: Retention = _DEFAULT_RETENTION) -> Broker:
    """
    Make the broker that a URL names.

    Nothing is opened before :meth:`Broker.open`, so a broker may be made before a fork.

    Args:
        url: ``memory:``; ``sqlite:///path`` (``sqlite:////path`` if absolute); or
            ``redis://``, ``rediss://`` or ``unix://`` as redis-py reads it.
        retention: How much history is kept per channel.

    Returns:
        A broker that is not open yet.

    Raises:
        ConfigError: The URL is not one of these.
    """
    return check_url(url)(retention)


def check_url(url: str) -> Callable[[Retention], Broker]:
    """
    Find the broker of a URL without making it.

    Args:
        url: As for :func:`open_broker`.

    Returns:
        What makes the broker when given the retention.

    Raises:
        ConfigError: The URL is not one of those.
    """
    if not isinstance(url, str):
        raise ConfigError([f"a broker's URL must be str, not {url!r}; {_KNOWN}"])
    scheme, colon, rest = url.partition(":")
    # Drivers are imported here and not above: each may need an extra.
    match scheme:
        case "memory" if colon and not rest:
            from .memory import MemoryBroker  # noqa: PLC0415 - see above

            return MemoryBroker
        case "sqlite":
            from .sqlite import SqliteBroker  # noqa: PLC0415 - see above

            path = _sqlite_path(url)
            return lambda retention: SqliteBroker(path, retention)
        case "redis" | "rediss" | "unix":
            try:
                from .redis import RedisBroker  # noqa: PLC0415 - see above
            except ModuleNotFoundError as error:
                raise ConfigError([str(error)]) from error

            return lambda retention: RedisBroker(url, retention)
        case _:
            raise ConfigError([f"no broker for {without_password(url)!r}; {_KNOWN}"])


def _sqlite_path(url: str) -> str:
    path = url.removeprefix("sqlite:///")
    if path == url or not path or "\0" in path or path.endswith("/"):
        raise ConfigError([f"{url!r} names no file; {_KNOWN}"])
    return path


def without_password(url: str) -> str:
    """
    Give a URL as it may be shown: without user and password.

    Args:
        url: Any text.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition(":")[0] + ":…"
    _, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"…@{host}").geturl() if at else url
