"""
What is examined, validated, and without its secrets wherever it is shown.

An address of a stream may carry a token in its query or a password before its host, and the
headers of a request nearly always do. None of them is part of a finding: whoever asks for
help posts the output.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit, urlunsplit

from ..brokers import check_url
from ..errors import ConfigError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

__all__ = ["FIELD_VALUE", "Address", "Target", "show_url"]

_PORTS = {"http": 80, "https": 443}
# The one parameter of a stream's query that is not a secret, and that people need to see.
_SHOWN_PARAMETERS = {"channel"}
_MOST_SECONDS = 86_400
# Shorter texts occur by chance in what is shown.
_SHORTEST_SECRET = 4
# RFC 9110 section 5.5, as text: characters beyond ASCII are sent as UTF-8.
_VISIBLE = r"[\x21-\x7e\x80-\U0010ffff]"
FIELD_VALUE = re.compile(rf"(?:{_VISIBLE}(?:[ \t]*{_VISIBLE})*)?")
# Fetch standard, "forbidden request-header" and "CORS-safelisted request-header".
_NOT_ASKED = {
    "accept", "accept-charset", "accept-encoding", "accept-language", "connection",
    "content-language", "content-length", "cookie", "date", "dnt", "expect", "host",
    "keep-alive", "last-event-id", "origin", "referer", "te", "trailer",
    "transfer-encoding", "upgrade", "via",
}  # fmt: skip
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class Address:
    """
    Where one request goes.

    Args:
        url: An absolute URL with the scheme http or https.

    Raises:
        ConfigError: It is none.
    """

    url: str
    scheme: str = field(init=False)
    host: str = field(init=False)
    port: int = field(init=False)
    path: str = field(init=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            port = parts.port
            host = parts.hostname
        except ValueError as error:
            raise ConfigError(
                [f"the URL {show_url(self.url)!r} is not valid: {error}"]
            ) from error
        if parts.scheme not in _PORTS or not host:
            raise ConfigError(
                [
                    (
                        f"the URL {show_url(self.url)!r} must begin with http:// or"
                        " https:// and a host: write https://app.example/stream"
                    )
                ]
            )
        try:
            path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
            query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
        except UnicodeEncodeError as error:
            raise ConfigError(
                [f"the URL {show_url(self.url)!r} has bytes that are not UTF-8: write %XX"]
            ) from error
        values = {
            "scheme": parts.scheme,
            "host": _ascii_host(host),
            "port": port or _PORTS[parts.scheme],
            "path": f"{path}?{query}" if query else path,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def origin(self) -> str:
        """The origin, as browsers write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = self.port == _PORTS[self.scheme]
        return f"{self.scheme}://{host}" + ("" if default else f":{self.port}")

    @property
    def authority(self) -> str:
        """The value of the header ``Host``."""
        return self.origin.partition("://")[2]

    @property
    def shown(self) -> str:
        """The URL without its secrets."""
        return show_url(self.url)

    def to(self, location: str) -> Address:
        """
        Return the address to which a ``Location`` leads.

        Raises:
            ConfigError: It leads to no http or https URL.
        """
        try:
            url = urljoin(self.url, location)
        except ValueError as error:  # brackets that are no address of IPv6
            raise ConfigError(
                [f"the Location {show_url(location)!r} is not valid: {error}"]
            ) from error
        return Address(url)

    def with_parameter(self, name: str, value: str) -> Address:
        """Return the address with another parameter in its query."""
        parts = urlsplit(self.url)
        added = f"{name}={quote(value, safe='')}"
        query = f"{parts.query}&{added}" if parts.query else added
        return Address(urlunsplit(parts._replace(query=query)))


@dataclass(frozen=True, kw_only=True)
class Target:
    """
    What to examine, and how long.

    Args:
        url: The stream's address.
        origin: The origin of the page that listens, such as ``https://app.example``;
            :obj:`None` if it is the stream's own.
        credentials: Whether the page sends cookies to the other origin.
        headers: More headers of the requests, as a page with ``fetch`` sends them.
        broker: The URL of the storage to publish to; :obj:`None` for none.
        channel: The channel to publish to; :obj:`None` for the first of the stream.
        timeout_seconds: How long to wait for the head of a response.
        wait_seconds: How long to wait for a heartbeat at most; :obj:`None` for as long as
            the stream says, and 20 seconds if it does not.
        patient_seconds: How long to watch for a limit of the whole time; 0 for not at all.
        verify: Whether an invalid certificate ends the examination.
        context: How to verify certificates; :obj:`None` for the system's way.

    Raises:
        ConfigError: Listing every value that is not valid.
    """

    url: str
    origin: str | None = None
    credentials: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    broker: str | None = None
    channel: str | None = None
    timeout_seconds: float = 10.0
    wait_seconds: float | None = None
    patient_seconds: float = 0.0
    verify: bool = True
    context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        problems = [*_problems(Address, self.url)]
        if self.broker is not None:
            problems += _problems(check_url, self.broker)
        if self.broker == "memory:":
            problems.append(
                "memory: is the memory of one process, to which no other can publish: write"
                " the URL of the file or the Redis that the application has"
            )
        if self.origin is not None and not _is_origin(self.origin):
            problems.append(
                f"the origin {self.origin!r} must be as a browser sends it, a scheme, a"
                f" host and perhaps a port: write {_nearest_origin(self.origin)}"
            )
        if self.credentials and self.origin is None:
            problems.append("--credentials needs --origin: the origin of the page")
        times = (self.wait_seconds or 0, self.patient_seconds, self.timeout_seconds)
        problems += [
            f"the seconds {seconds} must be from 0 to {_MOST_SECONDS:,}, a day"
            for seconds in times
            if not 0 <= seconds <= _MOST_SECONDS
        ]
        for name, value in self.headers:
            if not _TOKEN.fullmatch(name) or not FIELD_VALUE.fullmatch(value):
                problems.append(
                    f"the header {name!r} must be NAME: VALUE, in one line, without control"
                    " characters"
                )
        if problems:
            raise ConfigError(problems)

    @property
    def address(self) -> Address:
        """Where the first request goes."""
        return Address(self.url)

    @property
    def asked_names(self) -> tuple[str, ...]:
        """
        The headers for which a page would have to ask in a preflight, in lower case.

        Besides ``Last-Event-ID``. A page cannot set some of them, such as ``Cookie``, and
        may send others without asking.
        """
        names = {name.lower() for name, _ in self.headers}
        return tuple(
            sorted(
                name
                for name in names - _NOT_ASKED
                if not name.startswith(("sec-", "proxy-"))
            )
        )

    def redact(self, text: str) -> str:
        """Return a text in which no secret of this target is left."""
        for secret in self._secrets():
            text = text.replace(secret, "…")
        return text

    def _secrets(self) -> list[str]:
        urls = [urlsplit(self.url), *([urlsplit(self.broker)] if self.broker else [])]
        found = {part.password for part in urls if part.password}
        found |= _values(urls[0].query, lambda name: name not in _SHOWN_PARAMETERS)
        # Redis's driver takes it there, too.
        found |= _values(urls[-1].query, lambda name: name == "password")
        for _, value in self.headers:
            # "Bearer TOKEN" and "name=TOKEN; name=TOKEN": the token alone is secret, too.
            found |= {value, *re.split(r"[\s;=,]+", value)}
        written = (
            found | {quote(one, safe="") for one in found} | {unquote(one) for one in found}
        )
        return sorted((one for one in written if len(one) >= _SHORTEST_SECRET), key=len)[
            ::-1
        ]


def show_url(url: str) -> str:
    """Return a URL without user, password, fragment, and the values of its query."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        query = "&".join(
            one
            if one.partition("=")[0] in _SHOWN_PARAMETERS
            else f"{one.partition('=')[0]}=…"
            for one in parts.query.split("&")
            if one
        )
        return urlunsplit((parts.scheme, host, parts.path, query, ""))
    except ValueError:
        return "…"


def _values(query: str, is_meant: Callable[[str], bool]) -> set[str]:
    """Return values of a query, as they are meant and as they are written."""
    written = {
        pair.partition("=")[2]
        for pair in query.split("&")
        if is_meant(unquote(pair.partition("=")[0]))
    }
    return written | {value for name, value in parse_qsl(query) if is_meant(name)}


def _ascii_host(host: str) -> str:
    try:
        return host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError as error:
        raise ConfigError([f"the host {host!r} is not valid: {error}"]) from error


def _problems(check: Callable[[str], object], text: str) -> tuple[str, ...]:
    try:
        check(text)
    except ConfigError as error:
        return error.problems
    return ()


def _is_origin(text: str) -> bool:
    return text in {"null", _nearest_origin(text)}


def _nearest_origin(text: str) -> str:
    try:
        return Address(text).origin
    except ConfigError:
        return "https://app.example"
