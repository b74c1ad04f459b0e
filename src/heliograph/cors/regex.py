r"""
Regular expressions of a policy: their cost is bounded, and what they match is examined.

A limit on the length of a client's text does not bound an expression's cost: thirty
characters of a hostile ``Origin`` can stop a worker for hours (26 characters cost
Flask-CORS 6.0.5 3.8 s). Therefore an expression whose cost is not bounded is refused when a
policy is built (:mod:`.ambiguity`). Other engines were rejected, because they must be
compiled; so was a list of bad shapes, because it refuses ``([a-z-]+\.)*example\.com``.
"""

from __future__ import annotations

import re
from re import (  # type: ignore[attr-defined]  # no public way to see what is inside
    _constants as op,
)
from re import _parser as parser  # type: ignore[attr-defined]  # likewise
from typing import Any

from .ambiguity import check_cost
from .automaton import UnsafeRegexError, automaton_of

__all__ = [
    "Stars",
    "UnsafeRegexError",
    "alternatives",
    "compile_bounded",
    "fixed_characters",
    "literal_beginning",
]

# An escape, a set, or any other character.
_PARTS = re.compile(r"\\.|\[\^?\]?[^\]]*\]|.", re.DOTALL)

_REPEATS = frozenset({op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT})


def compile_bounded(
    pattern: str | re.Pattern[str], *, ignore_case: bool
) -> re.Pattern[str]:
    """
    Compile a regular expression whose cost is bounded for every text.

    Args:
        pattern: An expression, as a text or compiled. A compiled one keeps its flags.
        ignore_case: Whether to ignore case, in addition to those flags.

    Returns:
        The compiled expression. For a text of ``n`` characters it takes at most some
        thirty times ``n`` squared steps, those of its look-arounds included.

    Raises:
        UnsafeRegexError: The expression is invalid, matches bytes, has a back-reference,
            is too long to check, or could take more steps.
    """
    text, flags = (
        (pattern.pattern, pattern.flags)
        if isinstance(pattern, re.Pattern)
        else (pattern, 0)
    )
    if not isinstance(text, str):
        raise UnsafeRegexError("it matches bytes instead of text")
    if ignore_case:
        flags |= re.IGNORECASE
    try:
        compiled = re.compile(text, flags)
        check_cost(automaton_of(compiled))
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        raise UnsafeRegexError(f"it is not a valid regular expression ({error})") from error
    return compiled


def alternatives(text: str) -> list[str]:
    """
    Return the alternatives of an expression that are not in a group.

    Args:
        text: A valid expression.
    """
    found, depth = [""], 0
    for part in _PARTS.findall(text):
        depth += (part == "(") - (part == ")")
        if part == "|" and depth == 0:
            found.append("")
        else:
            found[-1] += part
    return found


class Stars:
    """
    A pattern in which each star stands for any text. Matching takes linear time.

    Args:
        text: The pattern, with at least one star.
    """

    def __init__(self, text: str) -> None:
        self._beginning, *self._middle, self._end = text.split("*")

    def match(self, text: str) -> bool:
        """Return whether the pattern matches a whole text."""
        begin, end = len(self._beginning), len(text) - len(self._end)
        if not (text.startswith(self._beginning) and text.endswith(self._end)):
            return False
        for part in self._middle:
            # The first occurrence is always right: it leaves the most for the rest.
            begin = text.find(part, begin)
            if begin < 0:
                return False
            begin += len(part)
        return begin <= end


def literal_beginning(pattern: re.Pattern[str]) -> str:
    """
    Return the text that everything an expression matches begins with.

    Args:
        pattern: A result of :func:`compile_bounded`.

    Returns:
        The literal characters up to the first that is not; ``""`` if there are none.
    """
    found = []
    for kind, value in parser.parse(pattern.pattern, pattern.flags):
        if kind is op.LITERAL:
            found.append(chr(value))
        elif kind is not op.AT:
            break
    return "".join(found)


def fixed_characters(pattern: re.Pattern[str]) -> int:
    """
    Return the number of literal characters in everything that an expression matches.

    Args:
        pattern: A result of :func:`compile_bounded`.
    """
    return _fixed(parser.parse(pattern.pattern, pattern.flags))


def _fixed(parsed: Any) -> int:
    count = 0
    for kind, value in parsed:
        if kind is op.LITERAL:
            count += 1
        elif kind is op.SUBPATTERN:
            count += _fixed(value[3])
        elif kind is op.ATOMIC_GROUP:
            count += _fixed(value)
        elif kind is op.BRANCH:
            count += min(map(_fixed, value[1]))
        elif kind in _REPEATS:
            count += value[0] * _fixed(value[2])
    return count
