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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ...errors import ConfigError
from ..plain import PLAIN_CHANNEL, PLAIN_FORMAT, PlainChannels

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..plain import PlainFormat

__all__ = ["ALL", "DEFAULT_PREFIX", "Address", "Kind", "Option"]

DEFAULT_PREFIX = "heliograph:"
"""The beginning of the names of all keys and pub/sub channels in Redis."""

ALL: Final = "all"
"""Instead of a number of replicas: each that may be promoted."""

Kind: TypeAlias = Literal["server", "sentinel", "cluster"]

Option: TypeAlias = str | float | bool
"""The value of an option."""

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

# Names of keys begin with the prefix: a long one costs memory for each channel.
_MAX_PREFIX_CHARACTERS = 64
_MAX_REPLICAS = 100


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:  # noqa: PLR2004 - the message says it
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


def _replicas(text: str) -> int | str:
    if text == ALL:
        return ALL
    if not text.isdecimal() or int(text) > _MAX_REPLICAS:
        raise ValueError(f"must be all, or a whole number from 0 to {_MAX_REPLICAS}")
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


# The driver's keyword arguments for a connection, by its own names.
_CONNECTION_OPTIONS: dict[str, Callable[[str], Option]] = {
    "db": _database,
    "username": str,
    "password": str,
    "client_name": str,
    "socket_timeout": _seconds,
    "socket_connect_timeout": _seconds,
}
_TLS_OPTIONS: dict[str, Callable[[str], Option]] = {
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_cert_reqs": _certificates,
    "ssl_check_hostname": _yes_or_no,
}
_SENTINEL_OPTIONS: dict[str, Callable[[str], Option]] = {
    "sentinel_username": str,
    "sentinel_password": str,
}
_OWN_OPTIONS: dict[str, Callable[[str], Option]] = {
    "prefix": _prefix,
    "replicas": _replicas,
}
# Checked together, by PlainChannels. The first may be given several times.
_PLAIN_OPTIONS: dict[str, Callable[[str], Option]] = {PLAIN_CHANNEL: str, PLAIN_FORMAT: str}
_OPTIONS = (
    _CONNECTION_OPTIONS | _TLS_OPTIONS | _SENTINEL_OPTIONS | _OWN_OPTIONS | _PLAIN_OPTIONS
)


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

    @staticmethod
    def parse(url: str) -> Address:
        """
        Parse a URL.

        Args:
            url: In one of the forms that this module's documentation lists.

        Raises:
            ConfigError: Listing every mistake. The password is never shown.
        """
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise ConfigError([f"{url.partition(':')[0]}: URL: {error}"]) from error
        if "#" in url or ("@" in parts.path + parts.query):
            # The URL is not shown: what these characters cut off may be a part of the
            # password.
            problem = "/ ? # @ in a user's name or a password must be percent-encoded"
            raise ConfigError([f"{parts.scheme}: URL: {problem}"])
        _, _, netloc = parts.netloc.rpartition("@")
        shown = f"{parts.scheme}://{netloc}{parts.path}"
        kind, tls = _SCHEMES[parts.scheme]
        problems: list[str] = []
        values = _values(parts, kind, problems, tls=tls)
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
            prefix=prefix,
            replicas=replicas,
            plain_channels=plain_channels,
        )


def _values(
    parts: SplitResult, kind: Kind, problems: list[str], *, tls: bool
) -> dict[str, Option]:
    values: dict[str, Option] = {}
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
        elif name == PLAIN_CHANNEL:
            continue  # see _plain_channels
        elif name in values:
            problems.append(f"the {name} is named twice")
        else:
            try:
                values[name] = _OPTIONS[name](text)
            except ValueError as error:
                shown = "" if "password" in name else f", not {text!r}"
                problems.append(f"{name} {error}{shown}")
    return values


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
            values["db"] = _database(database)
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
