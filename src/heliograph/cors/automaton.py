"""
The number of ways in which a regular expression can match a text: a bound for every text.

Python's ``re`` tries the ways one after the other, so a hostile text can make it try all of
them. The expression is translated into a position automaton (Glushkov): one state for each
character that it mentions, and an edge where one may follow the other. Three structures
multiply the ways, and each can be found in the automaton (Weber and Seidl, "On the degree
of ambiguity of finite automata"):

* A state can return to itself in two ways on the same text: the ways grow exponentially.
* On one text, a loop can continue, or move to another loop that continues: the ways grow
  with the length of the text, once more for each such pair of loops in a row.
* Several states that follow one state share a character: the ways double, without a loop.

Each way that reaches a look-around runs it anew, and then continues behind it. So a
look-around is a branch of the automaton without a continuation, and its cost after a loop,
in a loop or in another look-around multiplies, like the ways of loops in a row. ``re`` does
not backtrack into a look-around, so the costs of several in a row only add up. A
look-behind reads characters that came before, which the automaton does not know. Therefore
each of its states stands for any character.

Where the translation is not exact, the automaton has more ways than the expression, so that
an expression may be refused without need, but is never accepted by mistake.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from re import (  # type: ignore[attr-defined]  # no public way to see what is inside
    _constants as op,
)
from typing import TYPE_CHECKING, Any, NamedTuple

from .characters import ANY, BITS, characters_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Automaton", "UnsafeRegexError"]

# Larger automatons would make the check slow. Nobody could read such an expression.
_MAX_POSITIONS = 500
_MAX_EDGES = 5_000
_MAX_STEPS = 300_000

# Expressions that people write have one pair: "https://.*-.*\.example". With one, the cost
# grows with the square of the text's length.
_MAX_PAIRS_OF_LOOPS = 1
_MAX_WAYS = 32

_REPEATS = frozenset({op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT})
_LOOKS = frozenset({op.ASSERT, op.ASSERT_NOT})

_HINT = "write it so that each part of a text can be matched in one way only"


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
    """

    def __init__(
        self, parsed: Any, *, ignore_case: bool, is_repeated: bool = False
    ) -> None:
        # The characters that each position stands for; for each pair of positions, the
        # number of ways in which the second may follow the first.
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
        # Sorted so that a state comes after all that may follow it: it reaches the same
        # states and more, or is not in a loop. The states of one loop are adjacent.
        self._from_the_back = sorted(
            range(len(self._characters)),
            key=lambda number: (
                len(self._reach.get(number, ())),
                number not in self._reach.get(number, ()),
            ),
        )
        # For each state the first state of its loop, or itself.
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
        Check that the number of ways is bounded.

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

    # Construction.

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
        characters = characters_of(kind, value, ignore_case=self._ignore_case)
        if characters is None:
            raise UnsafeRegexError(f"{str(kind).lower()} in it cannot be checked; {_HINT}")
        return self._position(ANY if self._is_looking_behind else characters)

    def _look(self, direction: int, body: Any) -> _Fragment:
        """Return a fragment that may be entered, has no end, and may be skipped."""
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
            # A body that has many ways in a loop has many ways in a row of copies.
            Automaton(body, ignore_case=self._ignore_case, is_repeated=True).check()
            for _ in range(least - 1):
                part = self._then(part, self._sequence(body))
        elif most > 1:
            # A loop without an upper bound has all ways of one that has a bound.
            self._link(part.last, part.first)
        return part._replace(is_empty=part.is_empty or least == 0)

    def _link(self, ends: tuple[int, ...], beginnings: tuple[int, ...]) -> None:
        self._edges.update(product(ends, beginnings))

    # Counting the ways.

    def _is_exponential(self) -> bool:
        """Return whether a state can return to itself in two ways on one text."""
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
        """Return the number of loops in a row of which each can take over from the last."""
        members: dict[int, list[int]] = {}
        for number in self._loops():
            members.setdefault(self._leader[number], []).append(number)
        pairs: dict[int, int] = {}
        # From the back: a loop only leads to loops behind it.
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
        """Return whether, on one text, a loop can continue or move on to one that does."""
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
        """Yield the steps that copies of the automaton can take together on one text."""
        found: set[tuple[int, ...]] = set(starts)
        waiting = list(starts)
        while waiting:
            states = waiting.pop()
            for after in product(*(self._after.get(state, ()) for state in states)):
                self._steps += 1
                if self._steps > _MAX_STEPS:
                    raise UnsafeRegexError(f"it is too complicated to check; {_HINT}")
                common = ANY
                for state in after:
                    common &= self._characters[state]
                if common and holds(*after):
                    yield states, after
                    if after not in found:
                        found.add(after)
                        waiting.append(after)

    def _ways(self) -> int:
        """Return a bound for the ways that are not due to loops."""
        # The ways of a loop belong to its first state, since any state may leave it.
        ways: Counter[int] = Counter()
        # From the back, so that the ways of what follows are known.
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
            for bit in BITS:
                if characters & bit:
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
