"""
Regular expressions whose cost is bounded, whatever a client sends.

Python's ``re`` tries the ways to match one after the other. If a loop can read the same
characters in more than one way, there are exponentially many, and thirty characters of
a hostile ``Origin`` stop a worker for hours. No limit on length helps, so such
expressions are refused when a policy is built.

Strategy: the expression becomes a position automaton (Glushkov): one state for each
character that it mentions, an edge where one may follow the other. It is exponentially
ambiguous exactly if some state can come back to itself in two ways on the same text. That
shows in the automaton's product with itself: a pair of equal states leads to a pair of
different ones and back.

Where the translation is not exact it errs towards refusing.
"""

from __future__ import annotations

import re
from collections import Counter
from re import (  # type: ignore[attr-defined]  # no public way to see what is inside
    _constants as op,
)
from re import _parser as parser  # type: ignore[attr-defined]  # likewise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "UnsafeRegexError",
    "compile_bounded",
    "fixed_characters",
    "has_open_end",
    "literal_beginning",
]

# The characters are the 128 of ASCII, and one for all others.
_ASCII = 128
_OTHER = 1 << _ASCII
_ANY = (_OTHER << 1) - 1
_LETTERS = sum(1 << code for code in range(ord("a"), ord("z") + 1))

# More would make checking slow, and nobody could read the expression.
_MAX_POSITIONS = 500

_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    op.CATEGORY_DIGIT: str.isdecimal,
    op.CATEGORY_SPACE: str.isspace,
    op.CATEGORY_WORD: lambda character: character.isalnum() or character == "_",
}
_NEGATED = {
    op.CATEGORY_NOT_DIGIT: op.CATEGORY_DIGIT,
    op.CATEGORY_NOT_SPACE: op.CATEGORY_SPACE,
    op.CATEGORY_NOT_WORD: op.CATEGORY_WORD,
}
_REPEATS = frozenset({op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT})
_LOOKS = frozenset({op.ASSERT, op.ASSERT_NOT})

_HINT = "write it so that each part of the text can be matched in one way only"


class UnsafeRegexError(ValueError):
    """An expression that is none, or whose cost is not bounded. The message says why."""


def compile_bounded(
    pattern: str | re.Pattern[str], *, ignore_case: bool
) -> re.Pattern[str]:
    """
    Compile a regular expression, if no text can make it take exponential time.

    Args:
        pattern: An expression, or one that is compiled already, whose flags are kept.
        ignore_case: Whether to ignore case, whatever those flags say.

    Returns:
        The compiled expression.

    Raises:
        UnsafeRegexError: It is no regular expression, is one of bytes, has a
            back-reference, is too long to check, or could take exponential time.
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
        _check(parser.parse(text, flags), ignore_case=bool(compiled.flags & re.IGNORECASE))
    except (re.error, OverflowError, RecursionError) as error:
        raise UnsafeRegexError(f"it is no regular expression ({error})") from error
    return compiled


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
    Count the characters that everything that an expression matches has.

    Args:
        pattern: From :func:`compile_bounded`.
    """
    parsed = parser.parse(pattern.pattern, pattern.flags)
    return sum(kind is op.LITERAL for kind, _ in parsed)


def has_open_end(pattern: re.Pattern[str]) -> bool:
    """
    Tell whether what an expression matches may go on with as many letters as one likes.

    Args:
        pattern: From :func:`compile_bounded`.
    """
    automaton = _Automaton(ignore_case=True)
    whole = automaton.add(parser.parse(pattern.pattern, pattern.flags))
    return any(
        automaton.characters[end] & _LETTERS and (end, end) in automaton.edges
        for end in whole.last
    )


def _check(parsed: Any, *, ignore_case: bool) -> None:
    automaton = _Automaton(ignore_case=ignore_case)
    automaton.add(parsed)
    if automaton.is_ambiguous():
        raise UnsafeRegexError(f"a loop in it could take exponential time; {_HINT}")


class _Fragment(NamedTuple):
    """A part of an automaton: where it may begin and end, and whether it may be empty."""

    first: tuple[int, ...]
    last: tuple[int, ...]
    is_empty: bool


_NOTHING = _Fragment((), (), is_empty=True)


class _Automaton:
    """
    A position automaton.

    Attributes:
        characters: For each position the set of characters it stands for, as bits.
        edges: For each pair of positions, in how many ways the second may follow.
    """

    def __init__(self, *, ignore_case: bool) -> None:
        self.characters: list[int] = []
        self.edges: Counter[tuple[int, int]] = Counter()
        self._ignore_case = ignore_case

    def add(self, parsed: Any) -> _Fragment:
        whole = _NOTHING
        for kind, value in parsed:
            whole = self._then(whole, self._item(kind, value))
        return whole

    def _item(self, kind: Any, value: Any) -> _Fragment:
        if kind is op.SUBPATTERN:
            return self.add(value[3])
        if kind is op.ATOMIC_GROUP:
            return self.add(value)
        if kind is op.BRANCH:
            return self._either([self.add(branch) for branch in value[1]])
        if kind in _REPEATS:
            return self._repeat(*value)
        if kind is op.AT:
            return _NOTHING
        if kind in _LOOKS:
            # Looks at the text by itself, and reads none of it.
            _check(value[1], ignore_case=self._ignore_case)
            return _NOTHING
        return self._position(self._set(kind, value))

    def _position(self, characters: int) -> _Fragment:
        number = len(self.characters)
        if number == _MAX_POSITIONS:
            raise UnsafeRegexError(f"it has more than {_MAX_POSITIONS} characters")
        self.characters.append(characters)
        return _Fragment((number,), (number,), is_empty=False)

    def _then(self, one: _Fragment, other: _Fragment) -> _Fragment:
        self._link(one.last, other.first)
        return _Fragment(
            one.first + (other.first if one.is_empty else ()),
            other.last + (one.last if other.is_empty else ()),
            one.is_empty and other.is_empty,
        )

    def _either(self, branches: list[_Fragment]) -> _Fragment:
        if sum(branch.is_empty for branch in branches) > 1:
            raise UnsafeRegexError(f"two alternatives in it may both be empty; {_HINT}")
        return _Fragment(
            tuple(number for branch in branches for number in branch.first),
            tuple(number for branch in branches for number in branch.last),
            any(branch.is_empty for branch in branches),
        )

    def _repeat(self, least: int, most: int, body: Any) -> _Fragment:
        part = self.add(body)
        shortest, longest = body.getwidth()
        if part.is_empty and (least, most) != (1, 1):
            raise UnsafeRegexError(f"it repeats what may be empty; {_HINT}")
        if most > 1 and not (least == most and shortest == longest):
            # A bound on the number of turns would be hundreds of copies; a loop without
            # one can do all that they can.
            self._link(part.last, part.first)
        return part._replace(is_empty=part.is_empty or least == 0)

    def _link(self, ends: tuple[int, ...], beginnings: tuple[int, ...]) -> None:
        self.edges.update((end, beginning) for end in ends for beginning in beginnings)

    def _set(self, kind: Any, value: Any) -> int:
        if kind is op.ANY:
            return _ANY
        if kind is op.LITERAL:
            return self._with_case(value, value)
        if kind is op.NOT_LITERAL:
            return _ANY & ~self._with_case(value, value) | _OTHER
        if kind is op.IN:
            return self._in(value)
        raise UnsafeRegexError(f"{str(kind).lower()} in it cannot be checked; {_HINT}")

    def _in(self, items: list[tuple[Any, Any]]) -> int:
        characters = 0
        negated = False
        for kind, value in items:
            if kind is op.NEGATE:
                negated = True
            elif kind is op.LITERAL:
                characters |= self._with_case(value, value)
            elif kind is op.RANGE:
                characters |= self._with_case(*value)
            else:
                characters |= _category(value)
        return (_ANY & ~characters | _OTHER) if negated else characters

    def _with_case(self, low: int, high: int) -> int:
        characters = 0
        for code in range(low, min(high, _ASCII - 1) + 1):
            characters |= 1 << code
            if self._ignore_case:
                both = chr(code).lower() + chr(code).upper()
                characters |= sum({1 << ord(character) for character in both})
        return characters | (_OTHER if high >= _ASCII else 0)

    def is_ambiguous(self) -> bool:
        """Tell whether a position can come back to itself in two ways on one text."""
        following: dict[int, set[int]] = {}
        for one, other in self.edges:
            following.setdefault(one, set()).add(other)
        reachable = {number: _reachable(number, following) for number in following}
        looping = {number for number, found in reachable.items() if number in found}
        if any(
            ways > 1 and one in reachable.get(other, ())
            for (one, other), ways in self.edges.items()
        ):
            return True
        pairs: dict[tuple[int, int], set[tuple[int, int]]] = {}
        waiting = [(number, number) for number in looping]
        while waiting:
            pair = waiting.pop()
            if pair not in pairs:
                pairs[pair] = self._pairs_after(pair, following, reachable)
                waiting += pairs[pair]
        back: dict[tuple[int, int], set[tuple[int, int]]] = {}
        for pair, found in pairs.items():
            for after in found:
                back.setdefault(after, set()).add(pair)
        return any(
            one != other
            for number in looping
            for one, other in _reachable((number, number), back)
        )

    def _pairs_after(
        self,
        pair: tuple[int, int],
        following: dict[int, set[int]],
        reachable: dict[int, set[int]],
    ) -> set[tuple[int, int]]:
        return {
            (one, other)
            for one in following.get(pair[0], ())
            for other in following.get(pair[1], ())
            if self.characters[one] & self.characters[other]
            # Both have to be able to come back to where they parted.
            and one in reachable.get(other, ())
            and other in reachable.get(one, ())
        }


def _reachable(start: Any, following: dict[Any, set[Any]]) -> set[Any]:
    found: set[Any] = set()
    waiting = [start]
    while waiting:
        new = following.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _category(category: Any) -> int:
    if category in _NEGATED:
        return _ANY & ~_category(_NEGATED[category]) | _OTHER
    holds = _CATEGORIES[category]
    characters = [1 << code for code in range(_ASCII) if holds(chr(code))]
    return sum(characters) | _OTHER
