"""
How browsers write what people write: the origin of a URL, roughly written.

Follows the URL standard, `host parsing <https://url.spec.whatwg.org/#host-parsing>`_ and
`host serializing <https://url.spec.whatwg.org/#host-serializing>`_, for names in ASCII.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from typing import Final

from .origins import DEFAULT_PORTS, is_origin
from .shapes import PRIVATE_NAMES

__all__ = ["WEB_SCHEMES", "is_starred_address", "misspelt_scheme", "origin_of"]

WEB_SCHEMES: Final = frozenset({"http", "https"})
"""The schemes of web sites. Others are those of installed programs."""

# What people write when they mean an origin: with a path, without a scheme, in capitals,
# with stars, with the slashes or the colon of the scheme missing.
_NEARLY = re.compile(
    r"(?:(?:([a-z][a-z0-9+.-]*):/+|(https?)(?://|:(?=[^0-9/])))(?:[^/@\s]*@)?)?"
    r"(\[[0-9a-f:.]+\]|[a-z0-9._*-]+)(?::([0-9]{1,6}|\*))?(?:[/?#].*)?",
    re.IGNORECASE,
)

# Schemes that pages do not have; the page that opens a WebSocket has the scheme behind it.
_PAGES = {"ws": "http", "wss": "https", "ftp": "https"}

# URL standard, "ends-in-a-number checker".
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_MAX_NUMBERS = 4

# How much a scheme may look like one of the web and be another: "htps" is a mistake.
_NEAR = 0.75
_OCTET = 256


def origin_of(text: str) -> str | None:
    """
    Return the origin that a browser sends, for a text that is nearly one.

    Args:
        text: For example a URL, or a host and a port. It may have stars.

    Returns:
        The origin, or the pattern, with ``http`` for a host of the own network and
        ``https`` for others if the text has no scheme. :obj:`None` if nothing can be made
        of the text.
    """
    match = _NEARLY.fullmatch(text.strip().strip("'\""))
    if match is None:
        return None
    host = _host(match[3])
    if host is None:
        return None
    scheme = (match[1] or match[2] or ("http" if _is_own(host) else "https")).lower()
    scheme = _PAGES.get(scheme, scheme)
    scheme = misspelt_scheme(scheme) or scheme
    if scheme not in WEB_SCHEMES:
        host = match[3]
    origin = f"{scheme}://{host}"
    port = match[4] if match[4] in {None, "*"} else str(int(match[4]))
    if port is not None and DEFAULT_PORTS.get(scheme) != port:
        origin += f":{port}"
    return origin if "*" in origin or is_origin(origin) else None


def misspelt_scheme(scheme: str) -> str | None:
    """Return the scheme of the web that another one looks like; None if it does not."""
    if scheme in WEB_SCHEMES:
        return None
    near = difflib.get_close_matches(scheme, WEB_SCHEMES, n=1, cutoff=_NEAR)
    return near[0] if near else None


def is_starred_address(host: str) -> bool:
    """Return whether a host is meant for an IPv4 address in which stars are numbers."""
    numbers = set(host.split(".")) - {"*"}
    return "*" in host and bool(numbers) and all(map(str.isdecimal, numbers))


def _host(text: str) -> str | None:
    """Return a host as browsers write it; None if it is an address that does not exist."""
    host = text.lower()
    try:
        if host.startswith("["):
            return f"[{_address(ipaddress.IPv6Address(host[1:-1]))}]"
        labels = host.removesuffix(".").split(".")
        if _NUMBER.fullmatch(labels[-1]) or is_starred_address(host):
            return _numbers(labels)
    except ValueError:
        return None
    return host


def _address(address: ipaddress.IPv6Address) -> str:
    mapped = address.ipv4_mapped
    if mapped is None:
        return address.compressed
    # From Python 3.13 on, its compressed form ends in the IPv4 address.
    high, low = divmod(int(mapped), 1 << 16)
    return f"::ffff:{high:x}:{low:x}"


def _numbers(labels: list[str]) -> str:
    """Return an IPv4 address. URL standard, "IPv4 parser"; stars are kept as they are."""
    if "*" in labels:
        if len(labels) != _MAX_NUMBERS:
            raise ValueError("an address has four numbers")
        return ".".join(labels)
    *first, last = map(_number, labels)
    free = _MAX_NUMBERS - len(first)
    if free < 1 or any(number >= _OCTET for number in first) or last >= _OCTET**free:
        raise ValueError("an address has four numbers up to 255")
    for index, number in enumerate(first):
        last += number * _OCTET ** (_MAX_NUMBERS - 1 - index)
    return str(ipaddress.IPv4Address(last))


def _number(text: str) -> int:
    if text[:2].lower() == "0x":
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") and len(text) > 1 else 10)


def _is_own(host: str) -> bool:
    """Return whether a host is mostly reached without TLS: an address, or a local name."""
    last = host.removesuffix(".").rpartition(".")[2]
    return (
        host.startswith("[") or last.isdecimal() or "." not in host or last in PRIVATE_NAMES
    )
