"""Patterns of origins: texts in which stars stand for what may differ."""

from __future__ import annotations

import re
from typing import Final

from .host_writing import WEB_SCHEMES, is_starred_address, misspelt_scheme, origin_of
from .origins import DEFAULT_PORTS, is_origin
from .shapes import PRIVATE_NAMES

__all__ = ["can_be_written", "is_exact", "parse_pattern"]

_PATTERN: Final = re.compile(
    r"([a-z][a-z0-9+.-]*)://((?:[a-zA-Z0-9_*-]+\.)*[a-zA-Z0-9_*-]+|\[[0-9a-f:.]+\])"
    r"(?::([1-9][0-9]{0,4}|\*))?"
)

# A star stands for part of one label, so it never matches a dot.
_LABEL = "[a-z0-9_-]+"
_NUMBER = "[0-9]+"
_NAME = "[A-Za-z0-9._~%+-]+"
# What a program writes in place of a value that is not there.
_NOT_SET = frozenset({"nan", "none", "null", "undefined"})
# A range of addresses, as it is written elsewhere.
_RANGE = re.compile(r"[0-9.]+-[0-9.]+")
_ANY_PORT = "(?::[0-9]+)?"


def is_exact(rule: str) -> bool:
    """Return whether a text is an origin that a browser may send."""
    if not is_origin(rule):
        return False
    scheme, _, host = rule.partition("://")
    if scheme not in DEFAULT_PORTS:
        return misspelt_scheme(scheme) is None
    return origin_of(rule) == rule and host not in _NOT_SET and not _RANGE.fullmatch(host)


def parse_pattern(rule: str) -> re.Pattern[str] | None:
    """
    Return the expression of a pattern.

    Args:
        rule: A text with a star.

    Returns:
        The expression; :obj:`None` if the text is no pattern, or is not written as browsers
        write origins.

    Raises:
        ValueError: A star has a position that is not allowed, and why.
    """
    match = _PATTERN.fullmatch(rule)
    if match is None or "*" not in rule:
        return None
    scheme, host, _ = match.groups()
    if scheme == "file" or (scheme in DEFAULT_PORTS and origin_of(rule) != rule):
        return None
    if scheme not in WEB_SCHEMES:
        if misspelt_scheme(scheme):
            return None
        return _compiled(rule, star=_NAME)
    if is_starred_address(host):
        return _compiled(rule, star=_NUMBER)
    labels: list[str] = host.split(".")
    name, parent = labels[-1], "".join(labels[-2:-1])
    if "*" in name or ("*" in parent and name not in PRIVATE_NAMES):
        raise ValueError(
            "matches names that anybody may have; end it with a name of yours, such as"
            f" '{scheme}://*.yours.example', write ':*' for any port, or '*' for every"
            " origin"
        )
    if any(label.count("*") > 1 for label in labels):
        raise ValueError(
            "has two stars in one label; a star stands for characters of one label: write"
            " one star, or an expression for any number of labels, such as"
            r" r'https://(.*\.)?app\.example'"
        )
    return _compiled(rule, star=_LABEL)


def can_be_written(rule: str) -> bool:
    """Return whether a text is an origin or a pattern."""
    try:
        return is_exact(rule) or parse_pattern(rule) is not None
    except ValueError:
        return False


def _compiled(rule: str, *, star: str) -> re.Pattern[str]:
    bare = rule.removesuffix(":*")
    text = re.escape(bare).replace(r"\*", star)
    return re.compile(text + (_ANY_PORT if bare != rule else ""))
