"""Random names of epochs."""

from __future__ import annotations

import secrets
import string

__all__ = ["new_epoch"]

_ALPHABET = string.ascii_letters + string.digits

# 62**8 names: the chance that a channel's next epoch has the same name is 5e-15.
_LENGTH = 8


def new_epoch() -> str:
    """Return a random name, which no earlier epoch of a channel has had."""
    # One random number instead of eight: some brokers need a name with each append.
    number = secrets.randbits(64)
    characters = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[digit])
    return "".join(characters)
