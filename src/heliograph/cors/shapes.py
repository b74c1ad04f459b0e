"""
The kinds of origins that pages have, as automatons: what :mod:`.proof` compares with.

They are written as expressions, one for each kind and scheme, and follow the URL standard,
`host writing <https://url.spec.whatwg.org/#host-writing>`_. Parts in named groups tell
whose an origin is:

* ``name`` and ``top``: the last two labels of a host, and ``below``, those in front of
  them. Whoever has registered a name has all names below it. Suffixes of two labels are
  known if they have the form of ``co.uk``. (A list of all would need a dependency, and
  would be out of date.)
* ``address``: an address of the public internet.

Origins without these groups are nobody else's: hosts without a dot, which only the local
network resolves, names that nobody can register, private addresses, and schemes of
installed programs, such as browser extensions.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, NamedTuple

from .automaton import Automaton, automaton_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PRIVATE_NAMES", "Shape", "shapes"]

PRIVATE_NAMES = frozenset(
    {
        "corp",
        "home",
        "internal",
        "intranet",
        "lan",
        "local",
        "localdomain",
        "localhost",
        "private",
        "test",
    }
)
"""
Names below which nobody can register a name.

Reserved by RFC 6761, by RFC 6762 ("local"; appendix G has what others use) and by ICANN
("internal"). Without ``example`` and ``invalid``, which stand for the names of others in
documentation.
"""

_DIGITS = "0123456789"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LABEL = "[a-z0-9_-]+"

# What many countries have in front of their two letters: "co.uk" is nobody's.
_SECOND_LEVELS = frozenset(
    {"ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"}
)

_OCTET = "(?:[0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])"

# RFC 1918, RFC 3927 (link-local) and RFC 1122 section 3.2.1.3 (loopback).
_PRIVATE_ADDRESS = (
    rf"(?:(?:10|127)\.{_OCTET}|192\.168|169\.254|172\.(?:1[6-9]|2[0-9]|3[01]))"
    rf"\.{_OCTET}\.{_OCTET}"
)
# All others, in groups by their first number, without 0, which is this host.
_PUBLIC_ADDRESS = (
    r"(?:"
    r"(?:[1-9]|1[1-9]|[2-9][0-9]|1[01][0-9]|12[0-689]|1[3-5][0-9]|16[0-8]|17[013-9]|18[0-9]"
    rf"|19[013-9]|2[0-4][0-9]|25[0-5])\.{_OCTET}"
    r"|169\.(?:[0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-35])"
    r"|172\.(?:[0-9]|1[0-5]|3[2-9]|[4-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])"
    r"|192\.(?:[0-9]|[1-9][0-9]|1[0-57-9][0-9]|16[0-79]|2[0-4][0-9]|25[0-5])"
    rf")\.{_OCTET}\.{_OCTET}"
)

# Networks in which everybody can publish, with schemes of their own.
_PUBLIC_SCHEMES = frozenset({"dat", "hyper", "ipfs", "ipns"})
# No page has these any more: no engine speaks FTP, and WebSockets have the page's origin.
_UNSENT_SCHEMES = frozenset({"ftp", "ws", "wss"})

_SCHEMES = {"https": "443", "http": "80"}


class Shape(NamedTuple):
    """
    Origins of one kind.

    Attributes:
        kind: ``"named"``, ``"address"``, ``"file"``, or ``"local"`` for those that are
            nobody else's.
        automaton: Accepts them.
        parts: The groups of the automaton by name.
    """

    kind: str
    automaton: Automaton
    parts: dict[str, int]


@functools.cache
def shapes() -> tuple[Shape, ...]:
    """Return all kinds of origins. Computed at the first call, which takes some time."""
    long_top = _none_of(PRIVATE_NAMES, _LETTERS, _LETTERS, at_least=3)
    country = "[a-z][a-z]"
    second = "|".join(sorted(_SECOND_LEVELS))
    other_second = _none_of(
        _SECOND_LEVELS, f"{_LETTERS}{_DIGITS}_-", f"{_LETTERS}{_DIGITS}_-"
    )
    private = "|".join(sorted(PRIVATE_NAMES))
    below = rf"(?P<below>(?:{_LABEL}\.)*)"
    hosts = [
        ("named", rf"{below}(?P<name>{_LABEL})\.(?P<top>{long_top}|xn--[a-z0-9-]+)\.?"),
        ("named", rf"{below}(?P<name>{other_second})\.(?P<top>{country})\.?"),
        ("named", rf"{below}(?P<name>{_LABEL})\.(?P<top>(?:{second})\.{country})\.?"),
        ("address", rf"(?P<address>{_PUBLIC_ADDRESS})"),
        # Global unicast (RFC 4291 section 2.4).
        ("address", r"\[(?P<address>[23][0-9a-f][0-9a-f][0-9a-f]:[0-9a-f:]*)\]"),
        ("local", rf"(?:{_LABEL}\.)+(?:{private})\.?"),
        # A number alone would be an address, which browsers write with dots.
        ("local", r"[a-z0-9_-]*[a-z_-][a-z0-9_-]*\.?"),
        ("local", _PRIVATE_ADDRESS),
        ("local", r"\[[0-9a-f:]+\]"),
    ]
    found = [
        _shape(kind, f"{scheme}://{host}(?::{_none_of({port}, _DIGITS[1:], _DIGITS)})?")
        for scheme, port in _SCHEMES.items()
        for kind, host in hosts
    ]
    others = {*_SCHEMES, "file"} | _PUBLIC_SCHEMES | _UNSENT_SCHEMES
    other = _none_of(others, _LETTERS, f"{_LETTERS}{_DIGITS}+.-")
    public = "|".join(sorted(_PUBLIC_SCHEMES))
    found.append(_shape("local", rf"{other}://[A-Za-z0-9._~%+-]*(?::[0-9]+)?"))
    found.append(_shape("address", f"(?:{public})://(?P<address>[A-Za-z0-9]+)"))
    found.append(_shape("file", "file://"))
    return tuple(found)


def _none_of(words: Iterable[str], first: str, rest: str, *, at_least: int = 1) -> str:
    """
    Return an expression for all names of some characters that are none of the words.

    Args:
        words: The names to leave out.
        first: The characters that a name may begin with.
        rest: Those that may follow.
        at_least: The least number of characters.
    """
    heads = sorted({word[0] for word in words if word})
    others = "".join(character for character in first if character not in heads)
    following = f"[{re.escape(rest)}]"
    least = following * (at_least - 1)
    alternatives = [f"[{re.escape(others)}]{least}{following}*"] if others else []
    for head in heads:
        tails = {word[1:] for word in words if word.startswith(head)}
        if tails == {""}:
            alternatives.append(f"{head}{following * max(1, at_least - 1)}{following}*")
        else:
            may_end = "" if "" in tails or at_least > 1 else "?"
            tail = _none_of(tails, rest, rest, at_least=max(1, at_least - 1))
            alternatives.append(f"{head}(?:{tail}){may_end}")
    return f"(?:{'|'.join(alternatives)})"


def _shape(kind: str, text: str) -> Shape:
    expression = re.compile(text)
    return Shape(kind, automaton_of(expression), dict(expression.groupindex))
