"""
The URL of an SQLite file.

::

    sqlite:///relative/path
    sqlite:////absolute/path
    sqlite:////absolute/path?mode=0660

The option ``mode`` shares the file with its group (``docs/deployment.md``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from ...errors import ConfigError
from ..url import without_password
from .broker import SqliteBroker

if TYPE_CHECKING:
    from ..base import Broker
    from ..values import RetentionPolicy

__all__ = ["from_url", "parse_url"]

_PREFIX = "sqlite:///"

# The owner reads and writes; the group may do neither, read, or both; others at most read.
_MODE = re.compile("0?6[046][04]")


def from_url(url: str, retention: RetentionPolicy) -> Broker:
    """
    Return the broker in the file that a URL names, not open yet.

    Args:
        url: A URL that begins with ``sqlite:``.
        retention: How much history is kept per channel.

    Raises:
        ConfigError: As :func:`parse_url`.
    """
    path, mode = parse_url(url)
    return SqliteBroker(path, retention, mode=mode)


def parse_url(url: str) -> tuple[str, int]:
    """
    Return the path and the mode of the file that a URL names.

    Args:
        url: A URL that begins with ``sqlite:``.

    Raises:
        ConfigError: The URL names no file or has wrong options; lists all problems.
    """
    path, question, options = url.removeprefix(_PREFIX).rpartition("?")
    if not question or "/" in options:
        # No option contains a slash, so this question mark belongs to a folder's name.
        path, options = path + question + options, ""
    if not url.startswith(_PREFIX) or not path or "\0" in path or path.endswith("/"):
        hint = 'write "sqlite:///relative/path" or "sqlite:////absolute/path"'
        # One of a server may have a password.
        shown = url if url.startswith(_PREFIX) else without_password(url)
        raise ConfigError([f"{shown!r} names no file; {hint}"])
    shown = _PREFIX + path
    problems, mode = [], "0600"
    for number, (name, value) in enumerate(parse_qsl(options, keep_blank_values=True)):
        if name != "mode" or number:
            hint = (
                "may be given once; leave one out"
                if name == "mode"
                else "does not exist; the only option is mode"
            )
            problems.append(f"{shown!r}: the option {name!r} {hint}")
        elif not _MODE.fullmatch(value):
            problems.append(
                f"{shown!r}: mode must be 0600 (only the owner, the default), 0640, 0644,"
                f" 0660 (also the members of the file's group) or 0664, not {value!r}"
            )
        else:
            mode = value
    if options and not parse_qsl(options, keep_blank_values=True):
        problems.append(f"{shown!r}: {options!r} is no option; write mode=0660 or the like")
    if problems:
        raise ConfigError(problems)
    return path, int(mode, 8)
