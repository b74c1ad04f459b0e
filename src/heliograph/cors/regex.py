"""
Regular expressions as policies have them: of bounded cost, and seen through.

No limit on what a client sends bounds an expression's cost, since thirty characters of a
hostile ``Origin`` can stop a worker for hours. So expressions of which that is true are
refused when a policy is built (:mod:`.automaton`).
"""

from __future__ import annotations

import re
from re import (  # type: ignore[attr-defined]  # no public way to see what is inside
    _constants as op,
)
from re import _parser as parser  # type: ignore[attr-defined]  # likewise
from typing import Any, NamedTuple

from .automaton import Automaton, UnsafeRegexError

__all__ = [
    "Stars",
    "UnsafeRegexError",
    "compile_bounded",
    "fixed_characters",
    "host_endings",
    "literal_beginning",
]

# What an expression may end in is written out up to this.
_MAX_ENDINGS = 64

_REPEATS = frozenset({op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT})
_SLASH = (op.LITERAL, ord("/"))


def compile_bounded(
    pattern: str | re.Pattern[str], *, ignore_case: bool
) -> re.Pattern[str]:
    """
    Compile a regular expression, if no text can make it cost more than bounded time.

    Args:
        pattern: An expression, or one that is compiled already, whose flags are kept.
        ignore_case: Whether to ignore case, whatever those flags say.

    Returns:
        The compiled expression. It takes at most some thirty times the square of a
        text's length in steps, those of its look-arounds included.

    Raises:
        UnsafeRegexError: It is no regular expression, is one of bytes, has a
            back-reference, is too long to check, or could cost more.
    """
    text, flags = (
        (pattern.pattern, pattern.flags)
        if isinstance(pattern, re.Pattern)
        else (pattern, 0)
    )
    if not isinstance(text, str):
        raise UnsafeRegexError("it matches bytes and not text")
    if ignore_case:
        flags |= re.IGNORECASE
    try:
        compiled = re.compile(text, flags)
        parsed = parser.parse(text, flags)
        # A flag may also be set for a part: both cases for all is the safe side.
        Automaton(parsed, ignore_case=bool(compiled.flags & re.IGNORECASE)).check()
    except (re.error, OverflowError, RecursionError) as error:
        raise UnsafeRegexError(f"it is no regular expression ({error})") from error
    return compiled


class Stars:
    """
    A text in which each star stands for any text. Matching takes linear time.

    Args:
        text: With at least one star.
    """

    def __init__(self, text: str) -> None:
        self._beginning, *self._middle, self._end = text.split("*")

    def match(self, text: str) -> bool:
        """Tell whether a whole text is matched."""
        begin, end = len(self._beginning), len(text) - len(self._end)
        if not (text.startswith(self._beginning) and text.endswith(self._end)):
            return False
        for part in self._middle:
            # The first place is as good as any: what comes behind has the more room.
            begin = text.find(part, begin)
            if begin < 0:
                return False
            begin += len(part)
        return begin <= end


def literal_beginning(pattern: re.Pattern[str]) -> str:
    """
    Give the text with which everything that an expression matches begins.

    Args:
        pattern: From :func:`compile_bounded`.

    Returns:
        As much as can be told at sight; ``""`` if nothing.
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
    Count the characters that are given in everything that an expression matches.

    Args:
        pattern: From :func:`compile_bounded`.
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


class Ending(NamedTuple):
    """
    What everything that an expression matches, or one of its alternatives, ends in.

    Attributes:
        text: In lower case, as much as can be told at sight.
        is_whole: Whether that is all of it.
    """

    text: str
    is_whole: bool


def host_endings(pattern: re.Pattern[str]) -> set[Ending] | None:
    """
    Give what the hosts of origins end in that an expression matches.

    Args:
        pattern: From :func:`compile_bounded`.

    Returns:
        One ending for each alternative, without the port, which is what comes behind a
        colon: an origin has nothing else there. :obj:`None` if they are too many.
    """
    found = _endings(
        parser.parse(pattern.pattern, pattern.flags), {Ending("", is_whole=True)}
    )
    return None if len(found) > _MAX_ENDINGS else found


def _endings(parsed: Any, behind: set[Ending]) -> set[Ending]:
    items = list(parsed)
    if behind == {Ending("", is_whole=True)}:
        items = _without_port(items)
    for kind, value in reversed(items):
        going_on = {ending for ending in behind if ending.is_whole}
        if not going_on or len(behind) > _MAX_ENDINGS:
            break
        behind = (behind - going_on) | _before(kind, value, going_on)
    return behind


def _before(kind: Any, value: Any, behind: set[Ending]) -> set[Ending]:
    if kind is op.LITERAL:
        return {Ending(chr(value).lower() + text, is_whole=True) for text, _ in behind}
    if kind is op.SUBPATTERN:
        return _endings(value[3], behind)
    if kind is op.ATOMIC_GROUP:
        return _endings(value, behind)
    if kind is op.BRANCH:
        return set().union(*(_endings(branch, behind) for branch in value[1]))
    if kind in _REPEATS and value[1] == 1:
        return _endings(value[2], behind) | (behind if value[0] == 0 else set())
    if kind in {op.AT, op.ASSERT, op.ASSERT_NOT}:
        return behind
    return {Ending(text, is_whole=False) for text, _ in behind}


def _without_port(items: list[Any]) -> list[Any]:
    """Leave out what is behind a colon that is not that of the scheme."""
    for place in reversed(range(len(items))):
        kind, value = items[place]
        rest = items[place + 1 :]
        if kind is op.LITERAL and chr(value) == ":":
            return items[:place] if rest[:2] != [_SLASH, _SLASH] else items
        # "(:…)?" at the end.
        if kind in _REPEATS and value[:2] == (0, 1):
            inner = list(value[2])
            if inner and inner[0][0] is op.SUBPATTERN:
                inner = list(inner[0][1][3])
            is_port = inner[:1] == [(op.LITERAL, ord(":"))]
            if is_port and not any(kind is not op.AT for kind, _ in rest):
                return items[:place]
    return items
