"""How a channel's numbering gets the name of its life."""

from __future__ import annotations

import secrets
import string

__all__ = ["new_epoch"]

_ALPHABET = string.ascii_letters + string.digits

# 62**8 lives: the chance that a channel's next one has the same name is 5e-15.
_LENGTH = 8


def new_epoch() -> str:
    """Give a token that no earlier life of a channel has had."""
    # One number instead of eight choices: some brokers offer a name with each append.
    number = secrets.randbits(64)
    characters = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[digit])
    return "".join(characters)
