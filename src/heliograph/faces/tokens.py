"""
Signed, expiring permissions to open a stream of given channels.

The signature covers the channels and the time, so a token opens that selection and no
other. It is made with the newest of some keys; after a rotation tokens signed with one of
the others are still accepted. All faces make the same, so with the same key the token of
one opens a stream of another.

The package that signs (itsdangerous, of the extras ``flask`` and ``asgi``) is imported when
it is used: an application that signs nothing does not need it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..channels.names import check_selection
from ..errors import ConfigError, HeliographError, InvalidFieldError

if TYPE_CHECKING:
    from itsdangerous import URLSafeSerializer

__all__ = [
    "InvalidTokenError",
    "check_token",
    "make_token",
    "read_keys",
    "seconds_of",
    "signed_parameters",
]

_SALT = "heliograph.stream"

# A hundred years: far beyond them arithmetic on dates fails.
_MAX_SECONDS = 100 * 366 * 86_400


class InvalidTokenError(HeliographError):
    """A token that does not open the stream asked for; the message says why."""


def make_token(
    keys: Sequence[str | bytes], channels: tuple[str, ...], *, expires_at: float
) -> str:
    """
    Return a signed permission.

    Args:
        keys: The keys, the newest last; at least one.
        channels: The channels, sorted, each once.
        expires_at: When it expires, in seconds since the epoch of Unix; rounded up to a
            whole second.

    Returns:
        Characters that a URL may contain.
    """
    return str(_serializer(keys).dumps([math.ceil(expires_at), *channels]))


def check_token(
    keys: Sequence[str | bytes], token: str, channels: tuple[str, ...], *, now: float
) -> float:
    """
    Return until when a token opens a stream.

    Args:
        keys: The keys that are accepted; none if nothing is ever signed.
        token: The token as the client sent it.
        channels: The channels asked for, sorted, each once.
        now: The time, in seconds since the epoch of Unix.

    Returns:
        When it expires, in seconds since the epoch of Unix.

    Raises:
        InvalidTokenError: It is forged, expired, or for other channels.
    """
    if not keys:
        raise InvalidTokenError("this application signs no tokens")
    from itsdangerous import BadData, BadSignature  # noqa: PLC0415 - needs an extra

    try:
        if not _is_canonical(token):
            raise BadSignature("the signature is spelled in another way")
        payload = _serializer(keys).loads(token)
    except BadData as error:
        raise InvalidTokenError("the token is not signed by this application") from error
    expires_at, *signed = payload
    if tuple(signed) != channels:
        raise InvalidTokenError("the token is for other channels")
    if expires_at <= now:
        raise InvalidTokenError("the token has expired")
    return float(expires_at)


def signed_parameters(
    keys: Sequence[str | bytes],
    channels: Sequence[str],
    expires_in: object,
    *,
    now: float,
    setting: str,
) -> dict[str, Any]:
    """
    Return the query parameters of a stream's URL, signed.

    Args:
        keys: The keys, the newest last.
        channels: 1 to 64 channels, in any order.
        expires_in: Seconds, above 0, or a :class:`~datetime.timedelta`.
        now: The time, in seconds since the epoch of Unix.
        setting: How a developer of this face sets the key, for the message.

    Returns:
        ``channel``, a list of str, and ``token``, a str.

    Raises:
        InvalidFieldError: A channel or ``expires_in`` is not valid.
        ConfigError: There is no key.
    """
    names = check_selection(channels)
    expires_at = now + seconds_of(expires_in)
    if not keys:
        raise ConfigError([f"signed stream URLs need a key: set {setting}"])
    return {
        "channel": [*names],
        "token": make_token(keys, names, expires_at=expires_at),
    }


def read_keys(secret_key: object, *, extra: str) -> tuple[str | bytes, ...]:
    """
    Return the keys that a ``secret_key`` argument stands for.

    Args:
        secret_key: A key, text or bytes; a sequence of keys, the newest last; or
            :obj:`None` for none.
        extra: The extra of this package that installs what signs, for the message.

    Raises:
        ConfigError: A key is empty or of another type, or the package that signs is not
            installed.
    """
    if secret_key is None:
        return ()
    if isinstance(secret_key, str | bytes) or not isinstance(secret_key, Sequence):
        secret_key = [secret_key]
    keys: list[str | bytes] = []
    for key in secret_key:
        if not isinstance(key, str | bytes):
            raise ConfigError(
                [f"secret_key must be text, bytes, or several of them, not {key!r}"]
            )
        if not key:
            raise ConfigError(["secret_key must not be empty"])
        keys.append(key)
    try:
        import itsdangerous  # noqa: F401, PLC0415 - so that a mistake shows at start
    except ModuleNotFoundError as error:
        raise ConfigError(
            [f"secret_key needs {error.name}: pip install 'heliograph[{extra}]'"]
        ) from error
    return tuple(keys)


def seconds_of(expires_in: object) -> float:
    """
    Return the seconds for which a permission holds.

    Args:
        expires_in: Seconds, above 0, or a :class:`~datetime.timedelta`.

    Raises:
        InvalidFieldError: It is neither, or longer than 100 years.
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
    Return whether the signature is the one text that its bytes are encoded to.

    RFC 4648 section 3.5: the last of its 27 characters has two bits that mean nothing, and
    Python's decoder skips what is not of the alphabet. So several texts would be one token,
    and a list of withdrawn tokens would miss the others. The rest of a token is signed as
    text.
    """
    from itsdangerous.encoding import (  # noqa: PLC0415 - needs an extra
        base64_decode,
        base64_encode,
    )

    signature = token.rpartition(".")[2]
    return token.isascii() and base64_encode(base64_decode(signature)) == signature.encode()


def _serializer(keys: Sequence[str | bytes]) -> URLSafeSerializer:
    from itsdangerous import URLSafeSerializer, want_bytes  # noqa: PLC0415 - needs an extra

    # It signs with the last key and accepts them all.
    return URLSafeSerializer([want_bytes(key) for key in keys], salt=_SALT)
