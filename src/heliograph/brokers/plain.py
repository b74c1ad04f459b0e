"""
Plain channels of Redis: events exchanged with programs that know nothing of Heliograph.

All users of a Redis share its pub/sub: keyspace notifications, messages of other
applications and the entries of every Heliograph are published there, and a visitor chooses
the name of a channel. So the plain channel of that name is used only if the application has
listed it, and never if it is a channel of Redis itself or of a Heliograph.

Only the broker in Redis knows plain channels, so they are options of its URL. The argument
``plain_channels`` of some functions is translated into these options where it comes in, by
:func:`with_plain_channels`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, get_args
from urllib.parse import urlencode

from ..channels.names import check_channel
from ..cors.regex import Stars
from ..errors import ConfigError, InvalidFieldError
from .registry import OWN
from .url import without_password

__all__ = [
    "PLAIN_CHANNEL",
    "PLAIN_FORMAT",
    "PlainChannels",
    "PlainFormat",
    "with_plain_channels",
]

PLAIN_CHANNEL = "plain_channel"
"""Option of a URL: a name or a pattern. It may be given several times."""

PLAIN_FORMAT = "plain_format"
"""Option of a URL: a :data:`PlainFormat`."""

PlainFormat = Literal["flask-sse", "text"]
"""What the other programs publish and read on plain channels."""

# Keyspace notifications, invalidations for clients' caches, and what Sentinels publish for
# each other.
_OF_REDIS = ("__key", "__redis__", "__sentinel__")


@dataclass(frozen=True, slots=True, init=False)
class PlainChannels:
    """
    The channels to exchange with programs that know nothing of Heliograph.

    Channels of Redis itself (``__key…``, ``__redis__…``, ``__sentinel__…``) and those of a
    Heliograph (``…{…}:live``, ``…:alive``) are never exchanged, even if a pattern matches.

    Args:
        names: A channel's name or a pattern, or several. In a pattern ``*`` stands for any
            text; at least one other character is required.
        format: What the other programs publish and read there: ``"flask-sse"`` is the JSON
            of Flask-SSE 1.0, ``"text"`` the data alone.

    Raises:
        ConfigError: Listing every name that cannot be exchanged.
    """

    names: tuple[str, ...]
    format: PlainFormat
    _literals: frozenset[str] = field(repr=False, compare=False)
    _patterns: tuple[Stars, ...] = field(repr=False, compare=False)

    def __init__(
        self,
        names: str | Iterable[str],
        *,
        format: PlainFormat = "flask-sse",  # noqa: A002 - the field's name
    ) -> None:
        if isinstance(names, str | bytes | bytearray) or not isinstance(names, Iterable):
            # A value of another type is refused below, as one name.
            names = [names]
        names = tuple(names)
        problems = [problem for name in names if (problem := _problem(name))]
        if not names:
            problems.append('no channel is named; write the names, as in ["sse"]')
        if format not in get_args(PlainFormat):
            problems.append(f'the format must be "flask-sse" or "text", not {format!r}')
        if problems:
            raise ConfigError(problems)
        set_field = partial(object.__setattr__, self)
        set_field("names", names)
        set_field("format", format)
        set_field("_literals", frozenset(name for name in names if "*" not in name))
        set_field("_patterns", tuple(Stars(name) for name in names if "*" in name))

    def includes(self, channel: str) -> bool:
        """
        Return whether a channel is exchanged.

        Args:
            channel: Any name.
        """
        return not _is_reserved(channel) and (
            channel in self._literals
            or any(pattern.match(channel) for pattern in self._patterns)
        )


def with_plain_channels(url: str, plain_channels: PlainChannels | None) -> str:
    """
    Return the URL of a Redis with options that name plain channels.

    Args:
        url: Any URL; it is checked when it is used.
        plain_channels: What to add; :obj:`None` for nothing.

    Raises:
        ConfigError: There are plain channels and the URL is not that of a Redis, or they
            are no :class:`PlainChannels`.
    """
    if plain_channels is None or not isinstance(url, str):
        return url
    if not isinstance(plain_channels, PlainChannels):
        raise ConfigError(
            [f"plain_channels must be PlainChannels([…]) or None, not {plain_channels!r}"]
        )
    if OWN.get(url.partition(":")[0]) != OWN["redis"]:
        shown = without_password(url)
        raise ConfigError(
            [f"plain channels are Redis's, {shown!r} has none; write redis://host:6379/0"]
        )
    options = [(PLAIN_CHANNEL, name) for name in plain_channels.names]
    # Always written: the URL may name another format, which is then a mistake and not
    # silently replaced.
    options.append((PLAIN_FORMAT, plain_channels.format))
    return f"{url}{'&' if '?' in url else '?'}{urlencode(options, safe='*')}"


def _is_reserved(channel: str) -> bool:
    return (
        channel.startswith(_OF_REDIS)
        or channel.endswith(":alive")
        or (channel.endswith("}:live") and "{" in channel)
    )


def _problem(name: object) -> str | None:
    try:
        text = check_channel(name)
    except InvalidFieldError as error:
        return f'{name!r:.80} is no channel: it {error.reason}; write a name, as in "sse"'
    if not text.replace("*", ""):
        return (
            f"{text!r} would let visitors listen to all of that Redis: write names, or"
            ' patterns with other characters beside the star, as in "chat-*"'
        )
    if _is_reserved(text):
        return (
            f"{text!r} is never exchanged: it is a channel of Redis itself or of a"
            " Heliograph; leave it out"
        )
    return None
