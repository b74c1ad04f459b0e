"""
How many ways a regular expression has to match a text: a bound, whatever the text.

Python's ``re`` tries the ways one after the other, so the number of ways is what a hostile
text can make it cost. The expression becomes a position automaton (Glushkov): one state for
each character that it mentions, an edge where one may follow the other. Three things can
multiply its ways, and each has its mark in the automaton (Weber and Seidl, "On the degree
of ambiguity of finite automata"):

* A state comes back to itself in two ways on the same text: the ways are exponential.
* A loop can go on on a text, or move to another loop that goes on on it: the ways grow with
  the length of the text, once more for each pair of loops in a row.
* States that follow one state share a character: the ways double, without a loop.

A look-around is run anew by each way that comes to it, and then the way goes on. So it is a
branch of the automaton that leads nowhere: what it costs after a loop, in a loop or in
another look-around multiplies as the ways of loops in a row do. ``re`` never goes back into
one, so look-arounds in a row only add up. A look-behind reads what came before, which the
automaton does not know, so each state in it stands for any character.

Where the translation is not exact it has more ways than the expression, and errs towards
refusing.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from re import (  # type: ignore[attr-defined]  # no public way to see what is inside
    _constants as op,
)
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Automaton", "UnsafeRegexError"]

# The characters are the 128 of ASCII, and one for all others.
_ASCII = 128
_OTHER = 1 << _ASCII
_ANY = (_OTHER << 1) - 1

# More would make checking slow, and nobody could read the expression.
_MAX_POSITIONS = 500
_MAX_EDGES = 5_000
_MAX_STEPS = 300_000

# Once for each position of the text, with the loops that go on, is what most expressions
# need: "https://.*-.*\.example".
_MAX_PAIRS_OF_LOOPS = 1
_MAX_WAYS = 32

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

_HINT = "write it so that each part of a text can be matched in one way only"


class UnsafeRegexError(ValueError):
    """An expression that is none, or whose cost is not bounded. The message says why."""


class _Fragment(NamedTuple):
    """A part of an automaton: where it may begin and end, and whether it may be empty."""

    first: tuple[int, ...]
    last: tuple[int, ...]
    is_empty: bool


_NOTHING = _Fragment((), (), is_empty=True)


class Automaton:
    """
    The position automaton of an expression.

    Args:
        parsed: What ``re`` has parsed it to.
        ignore_case: Whether letters stand for both cases.
        is_repeated: Whether it is taken as often as one likes.

    Raises:
        UnsafeRegexError: It has something that cannot be translated, or is too long.
    """

    def __init__(
        self, parsed: Any, *, ignore_case: bool, is_repeated: bool = False
    ) -> None:
        # For each position the characters it stands for, as bits; for each pair of
        # positions, in how many ways the second may follow.
        self._characters: list[int] = []
        self._edges: Counter[tuple[int, int]] = Counter()
        self._ignore_case = ignore_case
        self._is_looking_behind = False
        self._steps = 0
        whole = self._sequence(parsed)
        if is_repeated:
            self._link(whole.last, whole.first)
        self._first = whole.first
        if sum(self._edges.values()) > _MAX_EDGES:
            raise UnsafeRegexError(f"it has too many alternatives; {_HINT}")
        self._after: dict[int, set[int]] = {}
        for one, other in self._edges:
            self._after.setdefault(one, set()).add(other)
        self._reach = {number: _reachable(number, self._after) for number in self._after}
        # What follows comes before what it follows: that reaches as much and more, or is
        # no loop. States of one loop are together.
        self._from_the_back = sorted(
            range(len(self._characters)),
            key=lambda number: (
                len(self._reach.get(number, ())),
                number not in self._reach.get(number, ()),
            ),
        )
        # For each state the first of the loop that it is in, or itself.
        self._leader = [
            min(
                [
                    number,
                    *(
                        n
                        for n in self._reach.get(number, ())
                        if self._is_one_loop(n, number)
                    ),
                ]
            )
            for number in range(len(self._characters))
        ]

    def check(self) -> None:
        """
        Bound the number of ways.

        Raises:
            UnsafeRegexError: There is no bound, or it is too high.
        """
        if self._is_exponential():
            raise UnsafeRegexError(f"a loop in it could take exponential time; {_HINT}")
        if self._pairs_of_loops() > _MAX_PAIRS_OF_LOOPS:
            raise UnsafeRegexError(
                "loops in it can share the characters of a text in too many ways; write"
                " what each stands for more narrowly, such as '[^.]*' for '.*'"
            )
        if self._ways() > _MAX_WAYS:
            raise UnsafeRegexError(f"its alternatives overlap too often; {_HINT}")

    # Building it.

    def _sequence(self, parsed: Any) -> _Fragment:
        whole = _NOTHING
        for kind, value in parsed:
            whole = self._then(whole, self._item(kind, value))
        return whole

    def _item(self, kind: Any, value: Any) -> _Fragment:
        if kind is op.SUBPATTERN:
            return self._sequence(value[3])
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
        characters = self._set(kind, value)
        return self._position(_ANY if self._is_looking_behind else characters)

    def _look(self, direction: int, body: Any) -> _Fragment:
        """Return what may be entered, is never left, and may be passed by."""
        outside = self._is_looking_behind
        self._is_looking_behind = outside or direction < 0
        inside = self._sequence(body)
        self._is_looking_behind = outside
        return _Fragment(inside.first, (), is_empty=True)

    def _position(self, characters: int) -> _Fragment:
        number = len(self._characters)
        if number == _MAX_POSITIONS:
            raise UnsafeRegexError(f"it has more than {_MAX_POSITIONS} characters")
        self._characters.append(characters)
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
        part = self._sequence(body)
        if part.is_empty and (least, most) != (1, 1):
            raise UnsafeRegexError(f"it repeats what may be empty; {_HINT}")
        shortest, longest = body.getwidth()
        if least == most and shortest == longest:
            # What would be many ways in a loop is many ways in as many copies.
            Automaton(body, ignore_case=self._ignore_case, is_repeated=True).check()
            for _ in range(least - 1):
                part = self._then(part, self._sequence(body))
        elif most > 1:
            # A loop without a bound on its turns has all ways that one with a bound has.
            self._link(part.last, part.first)
        return part._replace(is_empty=part.is_empty or least == 0)

    def _link(self, ends: tuple[int, ...], beginnings: tuple[int, ...]) -> None:
        self._edges.update(product(ends, beginnings))

    def _set(self, kind: Any, value: Any) -> int:
        if kind is op.ANY:
            return _ANY
        if kind is op.LITERAL:
            return self._range(value, value)
        if kind is op.NOT_LITERAL:
            return _ANY & ~self._range(value, value) | _OTHER
        if kind is op.IN:
            return self._in(value)
        raise UnsafeRegexError(f"{str(kind).lower()} in it cannot be checked; {_HINT}")

    def _in(self, items: list[tuple[Any, Any]]) -> int:
        characters = 0
        is_negated = False
        for kind, value in items:
            if kind is op.NEGATE:
                is_negated = True
            elif kind is op.LITERAL:
                characters |= self._range(value, value)
            elif kind is op.RANGE:
                characters |= self._range(*value)
            else:
                characters |= _category(value)
        return (_ANY & ~characters | _OTHER) if is_negated else characters

    def _range(self, low: int, high: int) -> int:
        characters = 0
        for code in range(low, min(high, _ASCII - 1) + 1):
            characters |= 1 << code
            if self._ignore_case:
                both = chr(code).lower() + chr(code).upper()
                characters |= sum({1 << ord(character) for character in both})
        return characters | (_OTHER if high >= _ASCII else 0)

    # Counting its ways.

    def _is_exponential(self) -> bool:
        """Tell whether a state can come back to itself in two ways on one text."""
        if any(
            ways > 1 and self._is_one_loop(one, other)
            for (one, other), ways in self._edges.items()
        ):
            return True
        starts = {(number, number) for number in self._loops()}
        forwards: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
        backwards: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
        for pair, after in self._walk(starts, self._is_one_loop):
            forwards.setdefault(pair, set()).add(after)
            backwards.setdefault(after, set()).add(pair)
        return any(
            one != other for start in starts for one, other in _reachable(start, backwards)
        )

    def _pairs_of_loops(self) -> int:
        """Count the loops in a row of which each can take over a text from the last."""
        members: dict[int, list[int]] = {}
        for number in self._loops():
            members.setdefault(self._leader[number], []).append(number)
        pairs: dict[int, int] = {}
        # From the back: a loop moves on to loops behind it only.
        for loop in (number for number in self._from_the_back if number in members):
            behind = [other for other in members if other in self._reach[loop]]
            pairs[loop] = max(
                (
                    pairs[other] + self._takes_over(members[loop], members[other])
                    for other in behind
                    if other != loop
                ),
                default=0,
            )
        return max(pairs.values(), default=0)

    def _takes_over(self, loop: list[int], other: list[int]) -> bool:
        """Tell whether on one text a loop goes on, moves to another, and that goes on."""
        before, behind = self._leader[loop[0]], self._leader[other[0]]

        def is_on_the_way(stays: int, moves: int, goes_on: int) -> bool:
            return (
                self._leader[stays] == before
                and (self._leader[moves] == behind or behind in self._reach.get(moves, ()))
                and self._leader[goes_on] == behind
            )

        return any(
            after == (one, two, two)
            for one, two in product(loop, other)
            for _, after in self._walk({(one, one, two)}, is_on_the_way)
        )

    def _walk(
        self, starts: set[Any], holds: Callable[..., bool]
    ) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Give the steps that several copies of the automaton can take on one text."""
        found: set[tuple[int, ...]] = set(starts)
        waiting = list(starts)
        while waiting:
            places = waiting.pop()
            for after in product(*(self._after.get(place, ()) for place in places)):
                self._steps += 1
                if self._steps > _MAX_STEPS:
                    raise UnsafeRegexError(f"it is too complicated to check; {_HINT}")
                common = _ANY
                for place in after:
                    common &= self._characters[place]
                if common and holds(*after):
                    yield places, after
                    if after not in found:
                        found.add(after)
                        waiting.append(after)

    def _ways(self) -> int:
        """Bound the ways beside those of loops: the states that a text can lead to."""
        # Of a loop, by its first state: it may be left at any of its states.
        ways: Counter[int] = Counter()
        # From the back, what follows is known.
        for number in self._from_the_back:
            leaving = {
                after: self._edges[number, after]
                for after in self._after.get(number, ())
                if not self._is_one_loop(number, after)
            }
            leader = self._leader[number]
            ways[leader] = max(ways[leader], self._ways_after(leaving, ways))
        return self._ways_after(dict.fromkeys(self._first, 1), ways)

    def _ways_after(self, following: dict[int, int], ways: Counter[int]) -> int:
        sums: Counter[int] = Counter()
        for after, times in following.items():
            characters = self._characters[after]
            for bit in range(_ASCII + 1):
                if characters >> bit & 1:
                    sums[bit] += times * ways[self._leader[after]]
        return max(sums.values(), default=1)

    def _loops(self) -> set[int]:
        return {number for number, found in self._reach.items() if number in found}

    def _is_one_loop(self, one: int, other: int) -> bool:
        return one in self._reach.get(other, ()) and other in self._reach.get(one, ())


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
