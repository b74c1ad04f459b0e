"""
The kinds of origins that pages have, as automatons: what :mod:`.proof` compares with.

They are written as expressions, one for each kind and scheme, and follow the URL standard,
`host writing <https://url.spec.whatwg.org/#host-writing>`_. Parts in named groups tell
whose an origin is:

* ``name`` and ``top``: the last two labels of a host. Whoever has registered a name has all
  names below it. (Some suffixes have two labels, such as ``co.uk``. A list of them would
  need a dependency, and would be out of date.)
* ``address``: an address of the public internet.

Origins without these groups are nobody else's: hosts without a dot, which only the local
network resolves, names that nobody can register, private addresses, and schemes of
installed programs, such as browser extensions.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from .automaton import Automaton, automaton_of

__all__ = ["PRIVATE_NAMES", "Shape", "shapes"]

PRIVATE_NAMES = frozenset({"home", "internal", "lan", "local", "localhost", "test"})
"""
Names below which nobody can register a name.

Reserved by RFC 6761, by RFC 6762 ("local") and by ICANN ("internal"), or used in home
networks and not in the root zone. Without ``example`` and ``invalid``, which stand for the
names of others in documentation.
"""

_DIGITS = "0123456789"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LABEL = "[a-z0-9_-]+"

# RFC 1918, RFC 3927 (link-local) and RFC 1122 section 3.2.1.3 (loopback).
_OCTET = "(?:[0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])"
_PRIVATE_ADDRESS = (
    rf"(?:(?:10|127)\.{_OCTET}|192\.168|169\.254|172\.(?:1[6-9]|2[0-9]|3[01]))"
    rf"\.{_OCTET}\.{_OCTET}"
)

_SCHEMES = {"https": "443", "http": "80"}


class Shape(NamedTuple):
    """
    Origins of one kind.

    Attributes:
        kind: ``"named"``, ``"address"``, ``"file"``, ``"unsent"`` for schemes that no page
            has any more, or ``"local"`` for those that are nobody else's.
        automaton: Accepts them.
        parts: The groups of the automaton by name.
    """

    kind: str
    automaton: Automaton
    parts: dict[str, int]


@functools.cache
def shapes() -> tuple[Shape, ...]:
    """Return all kinds of origins. Computed at the first call, which takes some time."""
    top = _none_of(PRIVATE_NAMES, _LETTERS, f"{_LETTERS}{_DIGITS}-")
    private = "|".join(sorted(PRIVATE_NAMES))
    hosts = [
        ("named", rf"(?:{_LABEL}\.)*(?P<name>{_LABEL})\.(?P<top>{top})\.?"),
        ("address", rf"(?P<address>{_public_address()})"),
        # Neither unique local (RFC 4193) nor link-local (RFC 4291 section 2.5.6).
        ("address", r"\[(?P<address>(?:[0-9a-e:]|f[0-9abf:]|fe[0-7c-f:])[0-9a-f:]*)\]"),
        ("local", rf"(?:{_LABEL}\.)+(?:{private})\.?"),
        # A number alone would be an address, which browsers write with dots.
        ("local", r"[a-z0-9_-]*[a-z_-][a-z0-9_-]*\.?"),
        ("local", _PRIVATE_ADDRESS),
        ("local", r"\[(?:::1|f[cd][0-9a-f:]+|fe[89ab][0-9a-f:]+)\]"),
    ]
    found = [
        _shape(kind, f"{scheme}://{host}(?::{_none_of({port}, _DIGITS[1:], _DIGITS)})?")
        for scheme, port in _SCHEMES.items()
        for kind, host in hosts
    ]
    web = {*_SCHEMES, "file", "ftp", "ws", "wss"}
    other = _none_of(web, _LETTERS, f"{_LETTERS}{_DIGITS}+.-")
    found.append(_shape("local", rf"{other}://[A-Za-z0-9._-]*(?::[0-9]+)?"))
    found.append(_shape("unsent", r"(?:ftp|wss?)://(?P<address>[a-z0-9._-]+)(?::[0-9]+)?"))
    found.append(_shape("file", "file://"))
    return tuple(found)


def _public_address() -> str:
    number = f"[{_DIGITS}]+"
    second = {
        "169": {"254"},
        "172": {str(one) for one in range(16, 32)},
        "192": {"168"},
    }
    firsts = _none_of({"10", "127", *second}, _DIGITS, _DIGITS)
    beginnings = [rf"{firsts}\.{number}"] + [
        rf"{first}\.{_none_of(private, _DIGITS, _DIGITS)}"
        for first, private in second.items()
    ]
    return rf"(?:{'|'.join(beginnings)})\.{number}\.{number}"


def _none_of(words: set[str] | frozenset[str], first: str, rest: str) -> str:
    """Return an expression for all names of these characters that are none of the words."""
    heads = sorted({word[0] for word in words if word})
    others = "".join(character for character in first if character not in heads)
    alternatives = [f"[{re.escape(others)}][{re.escape(rest)}]*"] if others else []
    for head in heads:
        tails = {word[1:] for word in words if word.startswith(head)}
        if tails == {""}:
            alternatives.append(f"{head}[{re.escape(rest)}]+")
        else:
            may_end = "" if "" in tails else "?"
            alternatives.append(f"{head}(?:{_none_of(tails, rest, rest)}){may_end}")
    return f"(?:{'|'.join(alternatives)})"


def _shape(kind: str, text: str) -> Shape:
    expression = re.compile(text)
    return Shape(kind, automaton_of(expression), dict(expression.groupindex))
