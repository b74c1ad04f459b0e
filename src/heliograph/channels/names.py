"""What a channel may be called."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from ..errors import InvalidFieldError

__all__ = [
    "MAX_CHANNELS",
    "MAX_NAME_BYTES",
    "check_channel",
    "check_selection",
    "is_internal",
]

# Every event's id states a position per channel, and clients send it back in a header:
# 64 of them stay below the 8 KB that servers allow for one.
MAX_CHANNELS = 64

# Names travel in URLs, and are stored with each entry of some brokers.
MAX_NAME_BYTES = 255


def check_channel(name: object) -> str:
    """
    Give a channel's name back if it is one.

    Args:
        name: 1 to 255 bytes of UTF-8 without control characters.

    Returns:
        The name, unchanged.

    Raises:
        InvalidFieldError: It is no str, empty, too long, or contains a control
            character or a lone surrogate.
    """
    if not isinstance(name, str):
        raise InvalidFieldError("channel", name, f"must be str, not {type(name).__name__}")
    if not name:
        raise InvalidFieldError("channel", name, "must not be empty")
    # Characters first: a name of megabytes is not worth encoding.
    if len(name) > MAX_NAME_BYTES or len(name.encode(errors="replace")) > (MAX_NAME_BYTES):
        raise InvalidFieldError(
            "channel", name, f"must be at most {MAX_NAME_BYTES} bytes of UTF-8"
        )
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise InvalidFieldError(
            "channel", name, "must not contain control characters or lone surrogates"
        )
    return name


def is_internal(name: str) -> bool:
    """
    Say whether a channel is none of a user's: it begins with a control character.

    Args:
        name: A channel.
    """
    return name < " "


def check_selection(names: object) -> tuple[str, ...]:
    """
    Return the channels of a stream in the one order that ids use.

    Stops at the first bad name and at the 65th channel: whoever sends ten thousand names
    gets no more than that checked.

    Args:
        names: A channel, or 1 to 64 of them; one that is named twice counts once.

    Returns:
        The names, sorted, each once.

    Raises:
        InvalidFieldError: There is none, there are too many, or one is no name.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        names = [names]
    channels: set[str] = set()
    for name in names:
        # Repeating a name costs the client nothing, so it is not checked again.
        if isinstance(name, str) and name in channels:
            continue
        channels.add(check_channel(name))
        if len(channels) > MAX_CHANNELS:
            raise InvalidFieldError(
                "channel",
                sorted(channels),
                f"a stream has 1 to {MAX_CHANNELS} channels, these are more",
            )
    if not channels:
        raise InvalidFieldError(
            "channel", [], f"a stream has 1 to {MAX_CHANNELS} channels, this is none"
        )
    return tuple(sorted(channels))
