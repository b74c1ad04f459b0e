"""
Signed, expiring permissions to open a stream of given channels.

The signature covers the channels and the time, so a token opens that selection and no
other. It is made with the newest of some keys; after a rotation tokens signed with one of
the others are still honoured. All faces make the same, so with the same key what one has
signed opens a stream of another.
"""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from itsdangerous import BadData, BadSignature, URLSafeSerializer, want_bytes
from itsdangerous.encoding import base64_decode, base64_encode

from .errors import HeliographError, InvalidFieldError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["InvalidTokenError", "check_seconds", "check_token", "make_token"]

_SALT = "heliograph.stream"

# A hundred years: far beyond them arithmetic on dates fails.
_MAX_SECONDS = 100 * 366 * 86_400


class InvalidTokenError(HeliographError):
    """A token that does not open the stream asked for; the message says why."""


def make_token(
    keys: Sequence[str | bytes], channels: tuple[str, ...], expires_in: float
) -> str:
    """
    Sign a permission.

    Args:
        keys: The newest last, at least one.
        channels: A selection, sorted, each once.
        expires_in: Seconds until it expires, above 0.

    Returns:
        Characters that a URL may contain.
    """
    expires_at = math.ceil(time.time() + expires_in)
    return str(_serializer(keys).dumps([expires_at, *channels]))


def check_token(
    keys: Sequence[str | bytes], token: str, channels: tuple[str, ...]
) -> float:
    """
    Return until when a token opens a stream.

    Args:
        keys: The keys that are accepted; none if nothing is ever signed.
        token: The token as the client sent it.
        channels: The selection asked for, sorted, each once.

    Returns:
        When it expires, in seconds since the epoch of Unix.

    Raises:
        InvalidTokenError: It is forged, expired, or for other channels.
    """
    if not keys:
        raise InvalidTokenError("this application signs no tokens")
    try:
        if not _is_canonical(token):
            raise BadSignature("the signature is spelled in another way")
        payload = _serializer(keys).loads(token)
    except BadData as error:
        raise InvalidTokenError("the token is not signed by this application") from error
    expires_at, *signed = payload
    if tuple(signed) != channels:
        raise InvalidTokenError("the token is for other channels")
    if expires_at <= time.time():
        raise InvalidTokenError("the token has expired")
    return float(expires_at)


def check_seconds(expires_in: object) -> float:
    """
    Give the time that a token is to last, in seconds.

    Args:
        expires_in: Seconds, above 0, or a :class:`~datetime.timedelta`.

    Raises:
        InvalidFieldError: It is neither, or none.
    """
    seconds = (
        expires_in.total_seconds() if isinstance(expires_in, timedelta) else expires_in
    )
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise InvalidFieldError("expires_in", expires_in, "must be a number of seconds")
    if not 0 < seconds <= _MAX_SECONDS:
        raise InvalidFieldError(
            "expires_in", expires_in, "must be above 0, and at most 100 years"
        )
    return float(seconds)


def _is_canonical(token: str) -> bool:
    """
    Tell whether the signature is the one text that its bytes are encoded to.

    RFC 4648 section 3.5: the last of its 27 characters has two bits that mean nothing, and
    Python's decoder skips what is not of the alphabet. So several texts would be one token,
    and who keeps a list of withdrawn tokens would miss the others. The rest of a token is
    signed as text.
    """
    signature = token.rpartition(".")[2]
    return token.isascii() and base64_encode(base64_decode(signature)) == signature.encode()


def _serializer(keys: Sequence[str | bytes]) -> URLSafeSerializer:
    # It signs with the last key and accepts them all.
    return URLSafeSerializer([want_bytes(key) for key in keys], salt=_SALT)
