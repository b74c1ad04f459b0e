"""
The position automaton of a regular expression (Glushkov).

One state for each character that the expression mentions, and an edge where one may follow
the other. :mod:`.ambiguity` finds in it what the expression costs, :mod:`.proof` what it
matches.

A look-around is a branch that has no end, and may be skipped. A look-behind reads
characters that came before, which the automaton does not know. Therefore each of its states
stands for any character. Repetitions with different bounds are loops without bounds.

So where the translation is not exact, the automaton accepts more texts, in more ways, than
the expression. What is derived from it errs on the safe side.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from re import (  # type: ignore[attr-defined]  # no public way to see what is inside
    _constants as op,
)
from re import _parser as parser  # type: ignore[attr-defined]  # likewise
from typing import TYPE_CHECKING, Any, NamedTuple

from .characters import ANY, characters_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HINT", "Automaton", "UnsafeRegexError", "automaton_of", "reachable"]

# Larger automatons would make the checks slow. Nobody could read such an expression.
_MAX_POSITIONS = 500
_MAX_EDGES = 5_000

_REPEATS = frozenset({op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT})
_LOOKS = frozenset({op.ASSERT, op.ASSERT_NOT})

HINT = "write it so that each part of a text can be matched in one way only"
"""What an error says about an expression that has to be written in another way."""


class UnsafeRegexError(ValueError):
    """An expression that is invalid, or whose cost is not bounded, with the reason."""


class _Fragment(NamedTuple):
    """A part of an automaton: its first and last states, and whether it may be empty."""

    first: tuple[int, ...]
    last: tuple[int, ...]
    is_empty: bool


_NOTHING = _Fragment((), (), is_empty=True)


class Automaton:
    """
    The position automaton of an expression.

    Args:
        parsed: The expression as ``re`` has parsed it.
        ignore_case: Whether letters stand for both cases.
        is_repeated: Whether the expression is the body of a loop without bounds.

    Raises:
        UnsafeRegexError: A part of the expression cannot be translated, or it is too long.

    Attributes:
        characters: The characters that each state stands for.
        groups: The number of the innermost group that each state is in; 0 for no group.
        edges: For each pair of states, the number of ways in which the second may follow
            the first.
        after: For each state, those that may follow it. States without any are missing.
        first: The states in which a match may begin.
        last: The states in which a match may end.
        copied: The automatons of the bodies that are repeated a fixed number of times, as
            loops without bounds.
    """

    def __init__(
        self, parsed: Any, *, ignore_case: bool, is_repeated: bool = False
    ) -> None:
        self.characters: list[int] = []
        self.groups: list[int] = []
        self.edges: Counter[tuple[int, int]] = Counter()
        self.copied: list[Automaton] = []
        self._ignore_case = ignore_case
        self._is_looking_behind = False
        self._group = 0
        whole = self._sequence(parsed)
        if is_repeated:
            self._link(whole.last, whole.first)
        self.first = whole.first
        self.last = whole.last
        if sum(self.edges.values()) > _MAX_EDGES:
            raise UnsafeRegexError(f"it has too many alternatives; {HINT}")
        self.after: dict[int, set[int]] = {}
        for one, other in self.edges:
            self.after.setdefault(one, set()).add(other)

    def _sequence(self, parsed: Any) -> _Fragment:
        whole = _NOTHING
        for kind, value in parsed:
            whole = self._then(whole, self._item(kind, value))
        return whole

    def _item(self, kind: Any, value: Any) -> _Fragment:
        if kind is op.SUBPATTERN:
            return self._subpattern(*value)
        if kind is op.ATOMIC_GROUP:
            return self._sequence(value)
        if kind is op.BRANCH:
            return self._either([self._sequence(branch) for branch in value[1]])
        if kind in _REPEATS:
            return self._repeat(*value)
        if kind is op.AT:
            return _NOTHING
        if kind in _LOOKS:
            return self._look(*value)
        characters = characters_of(kind, value, ignore_case=self._ignore_case)
        if characters is None:
            raise UnsafeRegexError(f"{str(kind).lower()} in it cannot be checked; {HINT}")
        return self._position(ANY if self._is_looking_behind else characters)

    def _subpattern(self, group: int | None, more: int, less: int, body: Any) -> _Fragment:
        outside = self._group, self._ignore_case
        self._group = group or self._group
        if (more | less) & re.IGNORECASE:
            self._ignore_case = bool(more & re.IGNORECASE)
        inside = self._sequence(body)
        self._group, self._ignore_case = outside
        return inside

    def _look(self, direction: int, body: Any) -> _Fragment:
        """Return a fragment that may be entered, has no end, and may be skipped."""
        outside = self._is_looking_behind
        self._is_looking_behind = outside or direction < 0
        inside = self._sequence(body)
        self._is_looking_behind = outside
        return _Fragment(inside.first, (), is_empty=True)

    def _position(self, characters: int) -> _Fragment:
        number = len(self.characters)
        if number == _MAX_POSITIONS:
            raise UnsafeRegexError(f"it has more than {_MAX_POSITIONS} characters")
        self.characters.append(characters)
        self.groups.append(self._group)
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
            raise UnsafeRegexError(f"two alternatives in it may both be empty; {HINT}")
        return _Fragment(
            tuple(number for branch in branches for number in branch.first),
            tuple(number for branch in branches for number in branch.last),
            any(branch.is_empty for branch in branches),
        )

    def _repeat(self, least: int, most: int, body: Any) -> _Fragment:
        part = self._sequence(body)
        if part.is_empty and (least, most) != (1, 1):
            raise UnsafeRegexError(
                f"a part of it may be empty and may be repeated or left out; {HINT}"
            )
        shortest, longest = body.getwidth()
        if least == most and shortest == longest:
            # A body that has many ways in a loop has many ways in a row of copies.
            self.copied.append(
                Automaton(body, ignore_case=self._ignore_case, is_repeated=True)
            )
            for _ in range(least - 1):
                part = self._then(part, self._sequence(body))
        elif most > 1:
            # A loop without an upper bound has all ways of one that has a bound.
            self._link(part.last, part.first)
        return part._replace(is_empty=part.is_empty or least == 0)

    def _link(self, ends: Iterable[int], beginnings: Iterable[int]) -> None:
        self.edges.update(product(ends, beginnings))


def automaton_of(pattern: re.Pattern[str]) -> Automaton:
    """
    Return the automaton of a compiled expression.

    Args:
        pattern: The expression.

    Raises:
        UnsafeRegexError: A part of the expression cannot be translated, or it is too long.
    """
    parsed = parser.parse(pattern.pattern, pattern.flags)
    return Automaton(parsed, ignore_case=bool(pattern.flags & re.IGNORECASE))


def reachable(start: Any, following: dict[Any, set[Any]]) -> set[Any]:
    """
    Return what can be reached from a node of a graph in one step or more.

    Args:
        start: The node.
        following: The nodes that follow each node.
    """
    found: set[Any] = set()
    waiting = [start]
    while waiting:
        new = following.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found
