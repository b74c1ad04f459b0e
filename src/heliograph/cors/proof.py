"""
Which origins an expression allows, proven with automatons.

The automaton of an expression and that of each kind of origins (:mod:`.shapes`) read the
same text together. Where both may end, there is an origin that the expression allows. On
the way it is noted which parts of the origin the expression has written out, and which it
leaves open.

The automaton of an expression accepts more than the expression if it has look-arounds or
bounds. So what is not found is proven; what is found is tried with the expression itself.
"""

from __future__ import annotations

import functools
import re
from collections import deque
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from .automaton import automaton_of, reachable
from .characters import BITS
from .origins import is_origin
from .shapes import Shape, shapes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .automaton import Automaton

__all__ = ["Example", "Findings", "examine", "is_disjoint"]

# A part is written out if each of its characters is one of a few that are listed, "[12]".
_FEW = 4

# What a label may have. A dot in an expression stands for all of them.
_LABEL = sum(BITS[ord(character)] for character in "abcdefghijklmnopqrstuvwxyz0123456789-_")
_DOT = BITS[ord(".")]
_LOWER = sum(BITS[ord(character)] for character in "abcdefghijklmnopqrstuvwxyz")

# How long the open parts of an example are made, for expressions with bounds.
_LENGTHS = (1, 2, 3, 5, 8, 13)

# The states of two automatons that have read the same text, and the bits of what was seen:
# two for each part, behind one for the whole.
_State = tuple[int, int, int]
_BEGINNING = -1
_FIXED, _OPEN = 1, 2
_LONE_DOT = 1


class Example(NamedTuple):
    """
    An origin that an expression allows, or may allow.

    Attributes:
        origin: The origin.
        is_certain: Whether the expression matches it. If not, a look-around or a bound may
            exclude all such origins, which has not been proven.
    """

    origin: str
    is_certain: bool


class Findings(NamedTuple):
    """
    What has been found out about an expression.

    Attributes:
        is_empty: Whether it matches no origin at all.
        stranger: An origin that may be somebody else's; :obj:`None` if all that the
            expression allows are in domains that are written out, or nobody else's.
        accident: Such an origin where the expression restricts the domain, and so was
            meant to exclude it; :obj:`None` if there is none.
    """

    is_empty: bool
    stranger: Example | None
    accident: Example | None


class _Text(NamedTuple):
    """A text of one kind of origins, and for each part whether it is fixed or open."""

    text: str
    shape: Shape
    flags: int

    def is_fixed(self, part: str) -> bool:
        """Return whether at least one character of a part is written out."""
        return bool(self.flags & _FIXED << 2 * self.shape.parts[part])

    def is_open(self, part: str) -> bool:
        """Return whether at least one character of a part is left open."""
        return bool(self.flags & _OPEN << 2 * self.shape.parts[part])


@functools.lru_cache(maxsize=256)
def examine(expression: re.Pattern[str]) -> Findings:
    r"""
    Return what is found out about the origins that an expression allows.

    ``https://app\.example.*`` matches ``https://app.example.evil.example``,
    ``https://.*app\.example`` matches ``https://evilapp.example``, and
    ``https://api.app.example`` matches ``https://apixapp.example``: all restrict the
    domain, and leave a part of it open. ``https://.*`` is no accident.

    Args:
        expression: An expression that :func:`.compile_bounded` has accepted.
    """
    automaton = automaton_of(expression)
    marks = _Marks(automaton)
    texts = [text for shape in shapes() for text in _common_texts(automaton, marks, shape)]
    return Findings(
        is_empty=not texts,
        stranger=_example(expression, filter(_may_be_a_stranger, texts)),
        accident=_example(expression, filter(_is_accident, texts)),
    )


def is_disjoint(expression: re.Pattern[str], other: re.Pattern[str]) -> bool:
    """
    Return whether no text is matched by both of two expressions.

    Args:
        expression: An expression that :func:`.compile_bounded` has accepted.
        other: Another one.
    """
    automaton = automaton_of(expression)
    shape = Shape("", automaton_of(other), {})
    return next(_common_texts(automaton, _Marks(automaton), shape), None) is None


def _may_be_a_stranger(found: _Text) -> bool:
    if found.shape.kind == "file":
        # All files, and pages that are opened from them, have this origin.
        return True
    return any(found.is_open(part) for part in found.shape.parts if part != "below")


def _is_accident(found: _Text) -> bool:
    if found.shape.kind != "named":
        return False
    if found.flags & _LONE_DOT:
        return True
    if found.is_open("top"):
        return any(map(found.is_fixed, found.shape.parts))
    # All names below one of the last labels may be meant: r"https://.*\.museum".
    return found.is_open("name") and found.is_fixed("name")


class _Marks:
    r"""
    What the states and the edges of an expression's automaton say about an origin.

    Attributes:
        is_fixed: Whether each state's character is written out.
        is_lone_dot: Whether each state is a dot that stands for any one character.
        skipped: The edges that leave out a dot, as in ``www\.?app``. They run two labels
            together, which nobody means.
    """

    def __init__(self, automaton: Automaton) -> None:
        reached = [
            reachable(number, automaton.after)
            for number in range(len(automaton.characters))
        ]
        loops = [number in found for number, found in enumerate(reached)]
        self.is_fixed = [
            _count(characters) <= _FEW and not is_loop
            for characters, is_loop in zip(automaton.characters, loops, strict=True)
        ]
        self.is_lone_dot = [
            characters & (_LABEL | _DOT) == _LABEL | _DOT and not is_loop
            for characters, is_loop in zip(automaton.characters, loops, strict=True)
        ]
        self.skipped = {
            (before, behind)
            for before, dot in automaton.edges
            if automaton.characters[dot] == _DOT
            for behind in automaton.after.get(dot, ())
            if behind in automaton.after[before] and before not in reached[behind]
        }

    def seen(self, state: int, *, is_skip: bool) -> int:
        """
        Return the bits of what a character shows: written out, left open, or both.

        Args:
            state: The state that has read it.
            is_skip: Whether a dot in front of it was left out.
        """
        if is_skip:
            return _FIXED | _OPEN
        return _FIXED if self.is_fixed[state] else _OPEN


def _count(characters: int) -> int:
    """Return the number of characters in a set; both cases of a letter are one."""
    lower = characters & _LOWER
    return (characters & ~(lower >> (ord("a") - ord("A")))).bit_count()


def _common_texts(expression: Automaton, marks: _Marks, shape: Shape) -> Iterator[_Text]:
    """Yield a shortest text for each combination of what was seen of the parts."""
    origins = shape.automaton
    came_from: dict[_State, tuple[_State, int]] = {}
    waiting: deque[_State] = deque([(_BEGINNING, _BEGINNING, 0)])
    seen: set[int] = set()
    while waiting:
        state = waiting.popleft()
        one, other, flags = state
        if one in expression.last and other in origins.last and flags not in seen:
            seen.add(flags)
            yield _Text(_spelled(came_from, state), shape, flags)
        for after, behind in product(
            _following(expression, one), _following(origins, other)
        ):
            common = expression.characters[after] & origins.characters[behind]
            if not common:
                continue
            bits = flags
            group = origins.groups[behind]
            if group and common != _DOT:
                is_within = other != _BEGINNING and origins.groups[other] == group
                is_skip = is_within and (one, after) in marks.skipped
                bits |= marks.seen(after, is_skip=is_skip) << 2 * group
                if shape.kind == "named" and marks.is_lone_dot[after]:
                    bits |= _LONE_DOT
            new = (after, behind, bits)
            if new not in came_from:
                came_from[new] = (state, common)
                waiting.append(new)


def _following(automaton: Automaton, state: int) -> list[int]:
    # In order, so that an example does not depend on hashes.
    return sorted(
        automaton.first if state == _BEGINNING else automaton.after.get(state, ())
    )


def _spelled(came_from: dict[_State, tuple[_State, int]], state: _State) -> str:
    characters = []
    while state in came_from:
        state, common = came_from[state]
        # An x stands out as one that is not written in the expression.
        bit = BITS[ord("x")] & common or common & -common
        characters.append(chr(bit.bit_length() - 1))
    return "".join(reversed(characters))


def _example(expression: re.Pattern[str], found: Iterator[_Text]) -> Example | None:
    # First names, and of those the ones whose last label is written out: they look most
    # like what was meant.
    texts = sorted(
        found,
        key=lambda text: (
            text.shape.kind != "named",
            "top" in text.shape.parts and text.is_open("top"),
        ),
    )
    for text, _, _ in texts:
        for length in _LENGTHS:
            longer = text.replace("x", "x" * length)
            if expression.fullmatch(longer) and is_origin(longer):
                return Example(_telling(expression, longer), is_certain=True)
    return Example(texts[0].text, is_certain=False) if texts else None


def _telling(expression: re.Pattern[str], text: str) -> str:
    """Return an origin like one that an expression matches, with a telling name."""
    new = re.sub("(?<=://)[^:]+", "evil.example", text, count=1)
    if expression.fullmatch(new):
        return new
    for index in [i for i in reversed(range(len(text))) if text[i] == "x"]:
        before, behind = text[:index], text[index + 1 :]
        if behind == "" or behind.startswith(":"):
            new = f"{before.removesuffix('.')}.evil.example{behind}"
        else:
            new = f"{before}evil{behind}"
        if is_origin(new) and expression.fullmatch(new):
            return new
    return text
