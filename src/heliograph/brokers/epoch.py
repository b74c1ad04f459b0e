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
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
