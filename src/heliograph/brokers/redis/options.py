"""
The options of a URL: which there are, and what their values may be.

A URL is often shared with other users of the same Redis. So the options of redis-py are
taken where they mean something here, and the others are passed over (:data:`PASSED_OVER`).
An option that is neither ours nor redis-py's is a mistake.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, TypeAlias

from ..plain import PLAIN_CHANNEL, PLAIN_FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "ALL",
    "OPTIONS",
    "PASSED_OVER",
    "REFUSED",
    "SENTINEL_OPTIONS",
    "TLS_OPTIONS",
    "Option",
    "parse_database",
]

ALL: Final = "all"
"""Instead of a number of replicas: each that may be promoted."""

Option: TypeAlias = "str | float | bool | Sequence[ssl.VerifyFlags]"
"""The value of an option."""

# Names of keys begin with the prefix: a long one costs memory for each channel.
_MAX_PREFIX_CHARACTERS = 64
_MAX_REPLICAS = 100


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:  # noqa: PLR2004 - the message says it
        raise ValueError("must be above 0 and at most 3600 seconds")
    return seconds


def _yes_or_no(text: str) -> bool:
    answers = {
        **dict.fromkeys(("true", "yes", "1", "t", "y"), True),
        **dict.fromkeys(("false", "no", "0", "f", "n"), False),
    }
    if text.lower() not in answers:
        raise ValueError("must be true or false")
    return answers[text.lower()]


def _replicas(text: str) -> int | str:
    if text == ALL:
        return ALL
    if not text.isdecimal() or int(text) > _MAX_REPLICAS:
        raise ValueError(f"must be all, or a whole number from 0 to {_MAX_REPLICAS}")
    return int(text)


def parse_database(text: str) -> int:
    """
    Return the number of a database.

    Args:
        text: Digits.

    Raises:
        ValueError: Anything else.
    """
    if not text.isdecimal():
        raise ValueError("must be a whole number")
    return int(text)


def _prefix(text: str) -> str:
    if not 1 <= len(text) <= _MAX_PREFIX_CHARACTERS:
        raise ValueError(f"must have 1 to {_MAX_PREFIX_CHARACTERS} characters")
    if not text.isprintable() or set(text) & set("{} "):
        # The first brace of a key's name begins what decides its slot in a cluster.
        raise ValueError("must not contain braces, blanks or control characters")
    return text


def _certificates(text: str) -> str:
    # Celery and Heroku write CERT_NONE, as the module `ssl` does.
    answer = text.lower().removeprefix("cert_")
    if answer not in {"none", "optional", "required"}:
        raise ValueError("must be none, optional or required")
    return answer


def _tls_version(text: str) -> ssl.TLSVersion:
    try:
        return ssl.TLSVersion(int(text))
    except ValueError as error:
        raise ValueError("must be the number of a version, such as 771 for 1.2") from error


def _verify_flags(text: str) -> Sequence[ssl.VerifyFlags]:
    names = [name.strip() for name in text.strip("[]").split(",")]
    try:
        return [ssl.VerifyFlags[name] for name in names]
    except KeyError as error:
        raise ValueError("must list flags of ssl.VerifyFlags") from error


# The driver's keyword arguments for a connection, by its own names.
_CONNECTION_OPTIONS: dict[str, Callable[[str], Option]] = {
    "db": parse_database,
    "username": str,
    "password": str,
    "client_name": str,
    "socket_timeout": _seconds,
    "socket_connect_timeout": _seconds,
    "socket_keepalive": _yes_or_no,
}
TLS_OPTIONS: dict[str, Callable[[str], Option]] = {
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_cert_reqs": _certificates,
    "ssl_check_hostname": _yes_or_no,
    "ssl_ca_path": str,
    "ssl_ca_data": str,
    "ssl_password": str,
    "ssl_ciphers": str,
    "ssl_min_version": _tls_version,
    "ssl_include_verify_flags": _verify_flags,
    "ssl_exclude_verify_flags": _verify_flags,
}
SENTINEL_OPTIONS: dict[str, Callable[[str], Option]] = {
    "sentinel_username": str,
    "sentinel_password": str,
}
_OWN_OPTIONS: dict[str, Callable[[str], Option]] = {
    "prefix": _prefix,
    "replicas": _replicas,
}
# Checked together, by PlainChannels. The first may be given several times.
_PLAIN_OPTIONS: dict[str, Callable[[str], Option]] = {PLAIN_CHANNEL: str, PLAIN_FORMAT: str}
OPTIONS = (
    _CONNECTION_OPTIONS | TLS_OPTIONS | SENTINEL_OPTIONS | _OWN_OPTIONS | _PLAIN_OPTIONS
)
"""Each option, and what parses its value."""

# They say how other users of the URL treat their connections. Ours are three for each
# server, read bytes by the second version of the protocol and are kept alive by TCP (the
# driver's default); calls are repeated by rules of our own.
PASSED_OVER = frozenset(
    {
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "legacy_responses",
        "lib_name",
        "lib_version",
        "max_connections",
        "protocol",
        "retry_on_error",
        "retry_on_timeout",
        "socket_read_size",
        "socket_type",
        "timeout",
        # Of its client for clusters.
        "cluster_error_retry_attempts",
        "dynamic_startup_nodes",
        "read_from_replicas",
        "reinitialize_steps",
        "require_full_coverage",
    }
)
"""Options of redis-py that have no effect here."""

_BEFORE = "belongs before the question mark, as in"
_NO_OCSP = "cannot be kept: redis-py's connections for asyncio do not check by OCSP"
REFUSED = {
    "host": f"{_BEFORE} redis://host:6379",
    "port": f"{_BEFORE} redis://host:6379",
    "path": f"{_BEFORE} unix:///path/of/the/socket",
    "ssl_ocsp_context": _NO_OCSP,
    "ssl_ocsp_expected_cert": _NO_OCSP,
    "ssl_validate_ocsp": _NO_OCSP,
    "ssl_validate_ocsp_stapled": _NO_OCSP,
}
"""Options of redis-py that nobody would want passed over, and what is wrong with each."""
