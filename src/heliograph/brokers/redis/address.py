"""
Parse the URL of a Redis.

::

    redis://[user[:password]@]host[:port][/database]
    unix://[user[:password]@]/path
    redis+sentinel://[user[:password]@]host[:port][,host[:port]…]/service[/database]
    redis+cluster://[user[:password]@]host[:port][,host[:port]…]

``rediss`` instead of ``redis`` means TLS. Options follow a question mark. A mistake is an
error: a misspelt option that is ignored may be the one that checks certificates.
"""

from __future__ import annotations

import difflib
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ...documentation import page
from ...errors import ConfigError
from ..plain import PLAIN_CHANNEL, PLAIN_FORMAT, PlainChannels
from .options import (
    ALL,
    OPTIONS,
    PASSED_OVER,
    REFUSED,
    SENTINEL_OPTIONS,
    TLS_OPTIONS,
    Option,
    parse_database,
)

if TYPE_CHECKING:
    from ..plain import PlainFormat

__all__ = ["ALL", "DEFAULT_PREFIX", "Address", "Kind", "Option"]

DEFAULT_PREFIX = "heliograph:"
"""The beginning of the names of all keys and pub/sub channels in Redis."""

Kind: TypeAlias = Literal["server", "sentinel", "cluster"]

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

# What follows the last colon of a host. Without an @ it may also be a password.
_NO_PORT = re.compile(r":(?!\d*(?:,|\Z))[^]:,]*(?:,|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """
    Where a Redis is, and how to use it.

    Args:
        shown: The URL as errors and logs show it: without user, password and options.
        kind: One server, a primary that Sentinels name, or a cluster.
        hosts: Host and port of the server, of each Sentinel, or of some nodes of a cluster.
        path: Path of the server's Unix socket; :obj:`None` for hosts.
        service: The name that the Sentinels have for the primary.
        tls: Whether connections are encrypted.
        options: The driver's keyword arguments for connections.
        sentinel_options: The driver's keyword arguments for connections to Sentinels.
        prefix: The beginning of the names of keys and pub/sub channels.
        replicas: Number of replicas that must have an event before a publish returns;
            :data:`ALL` for each that may be promoted.
        plain_channels: The channels that are exchanged with programs that know nothing of
            Heliograph; :obj:`None` for none.
        passed_over: The options in the URL that are for the driver, and have no effect.
    """

    shown: str
    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str | None = None
    service: str = ""
    tls: bool = False
    options: dict[str, Option] = field(default_factory=dict, repr=False)
    sentinel_options: dict[str, Option] = field(default_factory=dict, repr=False)
    prefix: str = DEFAULT_PREFIX
    replicas: int | str = 0
    plain_channels: PlainChannels | None = None
    passed_over: tuple[str, ...] = ()

    @staticmethod
    def parse(url: str) -> Address:
        """
        Parse a URL.

        Args:
            url: In one of the forms that this module's documentation lists.

        Raises:
            ConfigError: Listing every mistake. The password is never shown.
        """
        parts = _split(url)
        _, _, netloc = parts.netloc.rpartition("@")
        shown = f"{parts.scheme}://{netloc}{parts.path}"
        kind, tls = _SCHEMES[parts.scheme]
        problems: list[str] = []
        passed_over = _passed_over(parts)
        values = _values(parts, kind, passed_over, problems, tls=tls)
        path = hosts = None
        if parts.scheme == "unix":
            path = unquote(parts.path)
            if not path or netloc:
                problems.append("unix:///path/of/the/socket has three slashes and a path")
        else:
            default = _SENTINEL_PORT if kind == "sentinel" else _REDIS_PORT
            hosts = _hosts(netloc, default, problems)
            if kind == "server" and len(hosts) > 1:
                problems.append(
                    "several hosts need redis+sentinel:// or redis+cluster://, not redis://"
                )
        service = _read_path(parts, kind, values, problems)
        if kind == "server" and values.get("replicas") == ALL:
            problems.append("replicas=all needs redis+sentinel:// or redis+cluster://")
        plain_channels = _plain_channels(parts, values, problems)
        if problems:
            raise ConfigError([f"{shown}: {problem}" for problem in problems])
        prefix = str(values.pop("prefix", DEFAULT_PREFIX))
        replicas = cast("int | str", values.pop("replicas", 0))
        sentinel = {
            name.removeprefix("sentinel_"): values.pop(name)
            for name in SENTINEL_OPTIONS
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
            prefix=prefix,
            replicas=replicas,
            plain_channels=plain_channels,
            passed_over=passed_over,
        )


def _split(url: str) -> SplitResult:
    """Return the parts of a URL in which it is certain where a password ends."""
    parts = None
    # What urlsplit says is not passed on: it quotes what may be the password.
    with suppress(ValueError):
        parts = urlsplit(url)
    problem = (
        "the host is not valid, or a user's name or a password has characters that must be"
        " percent-encoded"
        if parts is None
        else _doubt(url, parts)
    )
    if parts is None or problem is not None:
        # The URL is not shown: any part of it may be a part of the password.
        raise ConfigError([f"{url.partition(':')[0]}: URL: {problem}"])
    return parts


def _doubt(url: str, parts: SplitResult) -> str | None:
    """Return why a part of the password may be taken for something else, if it may."""
    if "#" in url or "@" in parts.path + parts.query:
        return "/ ? # @ in a user's name or a password must be percent-encoded"
    userinfo, at, hosts = parts.netloc.rpartition("@")
    kind, _ = _SCHEMES[parts.scheme]
    # With one server both are common in passwords, and redis-py takes them.
    if ("," in userinfo) + ("@" in userinfo) >= (2 if kind == "server" else 1):
        return (
            "one user and one password belong before the first host, for all hosts; write"
            " , and @ in them as %2C and %40"
        )
    if not at and parts.scheme != "unix" and _NO_PORT.search(hosts):
        return "a port must be a number; write @ after a user and a password"
    return None


def _passed_over(parts: SplitResult) -> tuple[str, ...]:
    names = dict.fromkeys(
        name for name, _ in parse_qsl(parts.query, keep_blank_values=True)
    )
    # A Unix socket has none, and the driver takes no argument for it.
    is_local = parts.scheme == "unix"
    return tuple(
        name
        for name in names
        if name in PASSED_OVER or (is_local and name == "socket_keepalive")
    )


def _values(
    parts: SplitResult,
    kind: Kind,
    passed_over: tuple[str, ...],
    problems: list[str],
    *,
    tls: bool,
) -> dict[str, Option]:
    values: dict[str, Option] = {}
    userinfo, _, _ = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    if username:
        values["username"] = unquote(username)
    if password:
        values["password"] = unquote(password)
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        problem = _problem(name, kind, tls=tls)
        if name in passed_over:
            continue
        if problem is not None:
            problems.append(problem)
        elif name == PLAIN_CHANNEL:
            continue  # see _plain_channels
        elif name in values:
            problems.append(f"the {name} is named twice")
        else:
            try:
                values[name] = OPTIONS[name](text)
            except ValueError as error:
                shown = "" if "password" in name else f", not {text!r}"
                problems.append(f"{name} {error}{shown}")
    return values


def _problem(name: str, kind: Kind, *, tls: bool) -> str | None:
    """Return what is wrong with an option, whatever its value; :obj:`None` for nothing."""
    if name in REFUSED:
        return f"{name} {REFUSED[name]}"
    if name not in OPTIONS:
        nearest = difflib.get_close_matches(name, OPTIONS, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"see {page('redis.md')}"
        return f"{name} is no option; {hint}"
    if name in TLS_OPTIONS and not tls:
        return f"{name} needs TLS: rediss instead of redis"
    if name in SENTINEL_OPTIONS and kind != "sentinel":
        return f"{name} needs redis+sentinel://"
    return None


def _hosts(netloc: str, default: int, problems: list[str]) -> tuple[tuple[str, int], ...]:
    hosts = []
    for item in netloc.split(","):
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
    parts: SplitResult, kind: Kind, values: dict[str, Option], problems: list[str]
) -> str:
    """Return the service's name; add the database to the values."""
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
            values["db"] = parse_database(database)
        except ValueError:
            problems.append(f"the database must be a whole number, not {database!r}")
    if kind == "cluster" and values.pop("db", 0):
        problems.append("a cluster has only the database 0")
    return service


def _plain_channels(
    parts: SplitResult, values: dict[str, Option], problems: list[str]
) -> PlainChannels | None:
    """Return the plain channels that the options name; remove what is in the values."""
    options = parse_qsl(parts.query, keep_blank_values=True)
    names = [text for name, text in options if name == PLAIN_CHANNEL]
    plain_format = str(values.pop(PLAIN_FORMAT, "flask-sse"))
    if not names:
        if plain_format != "flask-sse":
            problems.append(f"{PLAIN_FORMAT} needs the option {PLAIN_CHANNEL}")
        return None
    try:
        # A cast: it checks the value.
        return PlainChannels(names, format=cast("PlainFormat", plain_format))
    except ConfigError as error:
        problems += [f"plain channels: {problem}" for problem in error.problems]
        return None
