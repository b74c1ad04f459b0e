"""
What is exchanged with programs that know nothing of Heliograph.

Pub/sub of Redis is one room: keyspace notifications, messages of other applications and
the entries of every Heliograph are in it, and a visitor chooses the name of a channel. So a
plain channel of that name is used only if the application has listed it, and never if it
is one of Redis's own or of a Heliograph.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Literal, get_args

from ..channels.names import check_channel
from ..cors.regex import Stars
from ..errors import ConfigError, InvalidFieldError

__all__ = ["PlainChannels", "PlainFormat"]

PlainFormat = Literal["flask-sse", "text"]
"""What programs that know nothing of us publish and read on plain channels of Redis."""

# Keyspace notifications, invalidations for clients' caches, what Sentinels tell each other.
_OF_REDIS = ("__key", "__redis__", "__sentinel__")


@dataclass(frozen=True, slots=True)
class PlainChannels:
    """
    The channels that are exchanged with programs that know nothing of Heliograph.

    Channels of Redis's own (``__key…``, ``__redis__…``, ``__sentinel__…``) and those of a
    Heliograph (``…{…}:live``, ``…:alive``) never are, whatever a pattern says.

    Args:
        names: A channel's name or a pattern, or several. In a pattern ``*`` stands for any
            text; at least one other character is required.
        format: What the other programs publish and read there: ``"flask-sse"`` is the JSON
            of Flask-SSE 1.0, ``"text"`` the data alone.

    Raises:
        ConfigError: Listing every name that cannot be exchanged.
    """

    names: str | Iterable[str]
    _: KW_ONLY
    format: PlainFormat = "flask-sse"

    def __post_init__(self) -> None:
        names = self.names
        if isinstance(names, str) or not isinstance(names, Iterable):
            names = [names]
        object.__setattr__(self, "names", tuple(names))
        problems = [problem for name in self.names if (problem := _problem(name))]
        if not self.names:
            problems.append('no channel is named; write the names, as in ["sse"]')
        if self.format not in get_args(PlainFormat):
            problems.append(
                f'the format must be "flask-sse" or "text", not {self.format!r}'
            )
        if problems:
            raise ConfigError(problems)

    def includes(self, channel: str) -> bool:
        """
        Tell whether a channel is exchanged.

        Args:
            channel: Any name.
        """
        return not _is_reserved(channel) and any(
            Stars(name).match(channel) if "*" in name else name == channel
            for name in self.names
        )


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
