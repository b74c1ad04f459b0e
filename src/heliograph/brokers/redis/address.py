"""
What a URL says of a Redis.

::

    redis://[user[:password]@]host[:port][/database]
    unix://[user[:password]@]/path
    redis+sentinel://[user[:password]@]host[:port][,host[:port]…]/service[/database]
    redis+cluster://[user[:password]@]host[:port][,host[:port]…]

``rediss`` instead of ``redis`` is the same over TLS. Options follow a question mark. A
mistake is an error: a misspelt option that is ignored may be the one that checks
certificates.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ...errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_PREFIX", "Address", "Kind"]

DEFAULT_PREFIX = "heliograph:"
"""What the names of all keys and channels in Redis begin with."""

Kind = Literal["server", "sentinel", "cluster"]

_REDIS_PORT = 6379
_SENTINEL_PORT = 26379

_SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "unix": ("server", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}

# A name of a key is a prefix, a channel and some more.
_MAX_PREFIX_CHARACTERS = 64
_MAX_REPLICAS = 100


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:  # noqa: PLR2004 - and it is said below
        raise ValueError("must be above 0 and at most 3600 seconds")
    return seconds


def _yes_or_no(text: str) -> bool:
    answers = {
        "true": True,
        "yes": True,
        "1": True,
        "false": False,
        "no": False,
        "0": False,
    }
    if text.lower() not in answers:
        raise ValueError("must be true or false")
    return answers[text.lower()]


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > _MAX_REPLICAS:
        raise ValueError(f"must be a whole number from 0 to {_MAX_REPLICAS}")
    return int(text)


def _database(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("must be a whole number")
    return int(text)


def _prefix(text: str) -> str:
    if not 1 <= len(text) <= _MAX_PREFIX_CHARACTERS:
        raise ValueError(f"must have 1 to {_MAX_PREFIX_CHARACTERS} characters")
    if not text.isprintable() or set(text) & set("{} "):
        # The first brace of a key's name begins what decides its slot in a cluster.
        raise ValueError("must not contain braces, blanks or control characters")
    return text


def _certificates(text: str) -> str:
    if text not in {"none", "optional", "required"}:
        raise ValueError("must be none, optional or required")
    return text


# What a connection is made with, by the driver's names, as in the URLs that it reads.
_CONNECTION_OPTIONS: dict[str, Callable[[str], Any]] = {
    "db": _database,
    "username": str,
    "password": str,
    "client_name": str,
    "socket_timeout": _seconds,
    "socket_connect_timeout": _seconds,
}
_TLS_OPTIONS: dict[str, Callable[[str], Any]] = {
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_cert_reqs": _certificates,
    "ssl_check_hostname": _yes_or_no,
}
_SENTINEL_OPTIONS: dict[str, Callable[[str], Any]] = {
    "sentinel_username": str,
    "sentinel_password": str,
}
_OWN_OPTIONS: dict[str, Callable[[str], Any]] = {"prefix": _prefix, "replicas": _count}
_OPTIONS = _CONNECTION_OPTIONS | _TLS_OPTIONS | _SENTINEL_OPTIONS | _OWN_OPTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """
    A Redis, and what to use it with.

    Args:
        shown: As errors and logs name it: without user, password and options.
        kind: One server, a primary that Sentinels name, or a cluster.
        hosts: Of the server, the Sentinels, or nodes of the cluster to begin with.
        path: Of the server's Unix socket instead.
        service: What the Sentinels call it.
        tls: Whether connections are encrypted.
        options: For connections, by the driver's names.
        sentinel_options: The same for connections to Sentinels.
        prefix: What names of keys and channels begin with.
        replicas: How many replicas must have an event before a publish returns.
    """

    shown: str
    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str | None = None
    service: str = ""
    tls: bool = False
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)
    prefix: str = DEFAULT_PREFIX
    replicas: int = 0

    @staticmethod
    def parse(url: str) -> Address:
        """
        Read a URL.

        Args:
            url: As this module's documentation has it.

        Returns:
            What it says.

        Raises:
            ConfigError: Listing every mistake, none of them with the password.
        """
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise ConfigError([f"{url.partition(':')[0]}: URL: {error}"]) from error
        if "#" in url or ("@" in parts.path + parts.query):
            # Nothing is quoted: what stands there is likely a part of the password.
            problem = "/ ? # @ in a user's name or a password must be percent-encoded"
            raise ConfigError([f"{parts.scheme}: URL: {problem}"])
        _, _, place = parts.netloc.rpartition("@")
        shown = f"{parts.scheme}://{place}{parts.path}"
        kind, tls = _SCHEMES[parts.scheme]
        problems: list[str] = []
        values = _values(parts, kind, problems, tls=tls)
        path = hosts = None
        if parts.scheme == "unix":
            path = unquote(parts.path)
            if not path or place:
                problems.append("unix:///path/of/the/socket has three slashes and a path")
        else:
            default = _SENTINEL_PORT if kind == "sentinel" else _REDIS_PORT
            hosts = _hosts(place, default, problems)
            if kind == "server" and len(hosts) > 1:
                problems.append(
                    "several hosts need redis+sentinel:// or redis+cluster://, not redis://"
                )
        service = _read_path(parts, kind, values, problems)
        if problems:
            raise ConfigError([f"{shown}: {problem}" for problem in problems])
        own = {name: values.pop(name) for name in _OWN_OPTIONS if name in values}
        sentinel = {
            name.removeprefix("sentinel_"): values.pop(name)
            for name in _SENTINEL_OPTIONS
            if name in values
        }
        return Address(
            shown=shown,
            kind=kind,
            hosts=hosts or (),
            path=path,
            service=service,
            tls=tls,
            options=values,
            sentinel_options=sentinel,
            **own,
        )


def _values(
    parts: SplitResult, kind: Kind, problems: list[str], *, tls: bool
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    userinfo, _, _ = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    if username:
        values["username"] = unquote(username)
    if password:
        values["password"] = unquote(password)
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS:
            nearest = difflib.get_close_matches(name, _OPTIONS, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else "see docs/redis.md"
            problems.append(f"{name} is no option; {hint}")
        elif name in _TLS_OPTIONS and not tls:
            problems.append(f"{name} needs TLS: rediss instead of redis")
        elif name in _SENTINEL_OPTIONS and kind != "sentinel":
            problems.append(f"{name} needs redis+sentinel://")
        elif name in values:
            problems.append(f"the {name} is named twice")
        else:
            try:
                values[name] = _OPTIONS[name](text)
            except ValueError as error:
                shown = "" if "password" in name else f", not {text!r}"
                problems.append(f"{name} {error}{shown}")
    return values


def _hosts(place: str, default: int, problems: list[str]) -> tuple[tuple[str, int], ...]:
    hosts = []
    for item in place.split(","):
        try:
            one = urlsplit(f"//{item}")
            hosts.append((one.hostname or "", default if one.port is None else one.port))
        except ValueError:
            problems.append(f"{item!r} is no host and port")
            continue
        if not one.hostname:
            problems.append("a host is missing")
        if one.port == 0:
            problems.append("a port must be between 1 and 65535, not 0")
    return tuple(hosts)


def _read_path(
    parts: SplitResult, kind: Kind, values: dict[str, Any], problems: list[str]
) -> str:
    """Give the service's name; put the database among the values."""
    if parts.scheme == "unix":
        return ""
    service, database = "", unquote(parts.path.strip("/"))
    if kind == "sentinel":
        service, _, database = database.partition("/")
        if not service:
            problems.append("the name that the Sentinels give the service is missing")
    if database and "db" in values:
        problems.append("the database is named twice, in the path and as db")
    elif database:
        try:
            values["db"] = _database(database)
        except ValueError:
            problems.append(f"the database must be a whole number, not {database!r}")
    if kind == "cluster" and values.pop("db", 0):
        problems.append("a cluster has only the database 0")
    return service
