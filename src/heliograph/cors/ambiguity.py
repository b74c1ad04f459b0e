"""
The number of ways in which a regular expression can match a text: a bound for every text.

Python's ``re`` tries the ways one after the other, so a hostile text can make it try all
of them. Three structures multiply the ways, and each can be found in the expression's
automaton (Weber and Seidl, "On the degree of ambiguity of finite automata"):

* A state can return to itself in two ways on the same text: the ways grow exponentially.
* On one text, a loop can continue, or move to another loop that continues: the ways grow
  with the length of the text, once more for each such pair of loops in a row.
* Several states that follow one state share a character: the ways double, without a loop.

Each way that reaches a look-around runs it anew, and then continues behind it. So its cost
after a loop, in a loop or in another look-around multiplies, like the ways of loops in a
row. ``re`` does not backtrack into a look-around, so the costs of several in a row only add
up.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Any

from .automaton import HINT, UnsafeRegexError, reachable
from .characters import ANY, BITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .automaton import Automaton

__all__ = ["check_cost"]

_MAX_STEPS = 300_000

# Expressions that people write have one pair: "https://.*-.*\.example". With one, the cost
# grows with the square of the text's length.
_MAX_PAIRS_OF_LOOPS = 1
_MAX_WAYS = 32


def check_cost(automaton: Automaton) -> None:
    """
    Check that the number of ways in which an expression can match is bounded.

    Args:
        automaton: The expression's automaton.

    Raises:
        UnsafeRegexError: There is no bound, or it is too high, or this cannot be found out
            in reasonable time.
    """
    for body in automaton.copied:
        check_cost(body)
    ways = _Ways(automaton)
    if ways.are_exponential():
        raise UnsafeRegexError(f"a loop in it could take exponential time; {HINT}")
    if ways.pairs_of_loops() > _MAX_PAIRS_OF_LOOPS:
        raise UnsafeRegexError(
            "loops in it can share the characters of a text in too many ways; write"
            " what each stands for more narrowly, such as '[^.]*' for '.*', or '[a-z0-9]+'"
            " between hyphens"
        )
    if ways.without_loops() > _MAX_WAYS:
        raise UnsafeRegexError(f"its alternatives overlap too often; {HINT}")


class _Ways:
    """The ways through an automaton on the same text."""

    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton
        self._after = automaton.after
        self._steps = 0
        self._reach: dict[int, set[int]] = {
            number: reachable(number, self._after) for number in self._after
        }
        numbers = range(len(automaton.characters))
        # Sorted so that a state comes after all that may follow it: it reaches the same
        # states and more, or is not in a loop. The states of one loop are adjacent.
        self._from_the_back = sorted(
            numbers,
            key=lambda number: (
                len(self._reach.get(number, ())),
                number not in self._reach.get(number, ()),
            ),
        )
        # For each state the first state of its loop, or itself.
        self._leader = [self._first_of_loop(number) for number in numbers]

    def _first_of_loop(self, number: int) -> int:
        loop = {n for n in self._reach.get(number, ()) if self._is_one_loop(n, number)}
        return min({number} | loop)

    def are_exponential(self) -> bool:
        """Return whether a state can return to itself in two ways on one text."""
        if any(
            ways > 1 and self._is_one_loop(one, other)
            for (one, other), ways in self._automaton.edges.items()
        ):
            return True
        starts = {(number, number) for number in self._loops()}
        backwards: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
        for pair, after in self._walk(starts, self._is_one_loop):
            backwards.setdefault(after, set()).add(pair)
        return any(
            one != other for start in starts for one, other in reachable(start, backwards)
        )

    def pairs_of_loops(self) -> int:
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
                    raise UnsafeRegexError(f"it is too complicated to check; {HINT}")
                common = ANY
                for state in after:
                    common &= self._automaton.characters[state]
                if common and holds(*after):
                    yield states, after
                    if after not in found:
                        found.add(after)
                        waiting.append(after)

    def without_loops(self) -> int:
        """Return a bound for the ways that are not due to loops."""
        # The ways of a loop belong to its first state, since any state may leave it.
        ways: Counter[int] = Counter()
        # From the back, so that the ways of what follows are known.
        for number in self._from_the_back:
            leaving = {
                after: self._automaton.edges[number, after]
                for after in self._after.get(number, ())
                if not self._is_one_loop(number, after)
            }
            leader = self._leader[number]
            ways[leader] = max(ways[leader], self._ways_after(leaving, ways))
        return self._ways_after(dict.fromkeys(self._automaton.first, 1), ways)

    def _ways_after(self, following: dict[int, int], ways: Counter[int]) -> int:
        sums: Counter[int] = Counter()
        for after, times in following.items():
            characters = self._automaton.characters[after]
            for bit in BITS:
                if characters & bit:
                    sums[bit] += times * ways[self._leader[after]]
        return max(sums.values(), default=1)

    def _loops(self) -> set[int]:
        return {number for number, found in self._reach.items() if number in found}

    def _is_one_loop(self, one: int, other: int) -> bool:
        return one in self._reach.get(other, ()) and other in self._reach.get(one, ())
