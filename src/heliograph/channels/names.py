"""Which names channels may have, and which channels a stream may ask for."""

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

# The id of an event states a position in each channel, and clients send it back in the
# header Last-Event-ID (WHATWG HTML section 9.2.4): 64 positions stay below the 8 KB that
# servers allow for a header.
MAX_CHANNELS = 64

# Names are part of URLs, and some brokers store them with each entry.
MAX_NAME_BYTES = 255


def check_channel(name: object) -> str:
    """
    Return a channel's name, or raise if it is not a valid one.

    Args:
        name: Any value. A valid name has 1 to 255 bytes of UTF-8 and no control characters.

    Returns:
        The name, unchanged.

    Raises:
        InvalidFieldError: The name is not a str, is empty or too long, or contains a
            control character or a lone surrogate.
    """
    if not isinstance(name, str):
        raise InvalidFieldError("channel", name, f"must be str, not {type(name).__name__}")
    if not name:
        raise InvalidFieldError("channel", name, "must not be empty")
    # Characters are counted first, so that a name of megabytes is not encoded.
    if len(name) > MAX_NAME_BYTES or len(name.encode(errors="replace")) > (MAX_NAME_BYTES):
        raise InvalidFieldError(
            "channel", name, f"must be at most {MAX_NAME_BYTES} bytes of UTF-8"
        )
    # What can be printed has neither: most names need no look at each character.
    if not name.isprintable() and any(
        unicodedata.category(character) in {"Cc", "Cs"} for character in name
    ):
        raise InvalidFieldError(
            "channel", name, "must not contain control characters or lone surrogates"
        )
    return name


def is_internal(name: str) -> bool:
    """
    Return whether a channel is Heliograph's own: its name begins with a control character.

    Args:
        name: The name of a channel. :func:`check_channel` refuses such names.
    """
    return name < " "


def check_selection(names: object) -> tuple[str, ...]:
    """
    Return the channels of a stream, sorted: the order of positions in ids.

    Checking stops at the first invalid name and at the 65th channel, so that a request with
    ten thousand names costs no more than one with 65.

    Args:
        names: One name, or an iterable of names; a name that is repeated counts once.

    Returns:
        1 to 64 names, sorted, each once.

    Raises:
        InvalidFieldError: There are no names or more than 64, or one is invalid.
    """
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        return (check_channel(names),)
    channels: set[str] = set()
    for name in names:
        # A name that was checked is not checked again, however often it is repeated.
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
