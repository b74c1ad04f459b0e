"""What the first argument of a command is: the URL of a broker, or that of a stream."""

from __future__ import annotations

import difflib
from pathlib import Path
from urllib.parse import urlsplit

import click

from ..brokers import check_url
from ..brokers.registry import OWN
from ..brokers.sqlite.url import parse_url
from ..brokers.url import without_password
from ..errors import ConfigError
from .output import note

__all__ = ["announce_new_file", "broker_url", "is_web"]

_WEB = ("http", "https")
_SQLITE = "sqlite:///"
_EXAMPLES = "redis://host:6379/0 or sqlite:////absolute/path"


def is_web(url: str) -> bool:
    """
    Return whether a URL is that of a stream, and not of a broker.

    Args:
        url: The argument as it was given.

    Raises:
        click.UsageError: It is a URL of neither.
    """
    scheme, colon, rest = url.partition(":")
    if scheme.lower() in _WEB and rest.startswith("//"):
        if _host(url):
            return True
        raise click.UsageError(
            f"{without_password(url)!r} has no host, or an invalid port; write"
            " http://host:port/path"
        )
    if not colon or (rest and not rest.startswith("/")) or scheme.lower() in _WEB:
        # A host with a port looks like a scheme.
        shown = without_password(url)
        raise click.UsageError(
            f"{shown!r} is not a URL; write http://host:port/path for a stream,"
            f" {_EXAMPLES} for a broker"
        )
    return False


def broker_url(url: str) -> str:
    """
    Return the URL of a broker as the library takes it.

    That of an SQLite file is absolute.

    Args:
        url: The argument as it was given, for which :func:`is_web` is false.

    Raises:
        click.UsageError: No broker has this URL, or only this process would have it.
    """
    scheme = url.partition(":")[0]
    if scheme == "memory":
        raise click.UsageError(
            "'memory:' is the memory of one process, and this one has just begun; write the"
            f" URL that the application has, {_EXAMPLES}"
        )
    try:
        check_url(url)
    except ConfigError as error:
        nearest = difflib.get_close_matches(scheme.lower(), (*OWN, *_WEB), 1)
        if scheme in OWN or not nearest:
            raise click.UsageError("; ".join(error.problems)) from error
        raise click.UsageError(
            f"{without_password(url)!r} has the scheme {scheme!r}, which does not exist;"
            f" did you mean {nearest[0]!r}?"
        ) from error
    return _with_absolute_file(url) if url.startswith(_SQLITE) else url


def announce_new_file(url: str) -> None:
    """
    Print that an SQLite file is created, if it does not exist.

    Whoever mistypes a path would get an empty broker and wait in vain.

    Args:
        url: From :func:`broker_url`.
    """
    if url.startswith(_SQLITE) and not Path(file := parse_url(url)[0]).exists():
        note(f"{file} does not exist; it is created now, and no application uses it yet")


def _with_absolute_file(url: str) -> str:
    path, _ = parse_url(url)
    options = url.removeprefix(_SQLITE + path)
    file = Path(path).absolute()
    if not file.parent.exists():
        raise click.UsageError(
            f"the folder {file.parent} does not exist; write the path that the application"
            " has, or create the folder"
        )
    return f"{_SQLITE}{file}{options}"


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises if it is none
    except ValueError:
        return None
    return parts.hostname
