"""
Which origins an expression allows, proven with automatons.

The automaton of an expression and that of each kind of origins (:mod:`.shapes`) read the
same text together. Where both may end, there is an origin that the expression allows. On
the way it is noted which parts of the origin the expression has written out, and which it
leaves open.

The automaton of an expression accepts more than the expression if it has look-arounds. So
what is not found is proven; what is found is tried with the expression itself.
"""

from __future__ import annotations

import functools
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from .automaton import automaton_of, reachable
from .characters import BITS
from .origins import is_origin
from .shapes import Shape, shapes

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from .automaton import Automaton

__all__ = ["Example", "Findings", "examine", "is_disjoint"]

# A part is written out if each of its characters is one of a few that are listed, "[12]".
_FEW = 4

_HOST = sum(BITS[ord(character)] for character in "abcdefghijklmnopqrstuvwxyz0123456789-_.")

# A text that two automatons accept, and the bits of what was seen of its parts.
_State = tuple[int, int, int]


class Example(NamedTuple):
    """
    An origin that an expression allows, or may allow.

    Attributes:
        origin: The origin.
        is_certain: Whether the expression matches it. If not, a look-around may exclude
            all such origins, which has not been proven.
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
        return bool(self.flags & _bit(self.shape, part, is_open=False))

    def is_open(self, part: str) -> bool:
        """Return whether at least one character of a part is left open."""
        return bool(self.flags & _bit(self.shape, part, is_open=True))


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
    is_fixed = [
        (characters & _HOST).bit_count() <= _FEW
        and number not in reachable(number, automaton.after)
        for number, characters in enumerate(automaton.characters)
    ]
    texts = [
        text for shape in shapes() for text in _common_texts(automaton, is_fixed, shape)
    ]
    return Findings(
        is_empty=all(text.shape.kind == "unsent" for text in texts),
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
    texts = _common_texts(
        automaton, [False] * len(automaton.characters), Shape("", automaton_of(other), {})
    )
    return next(texts, None) is None


def _may_be_a_stranger(found: _Text) -> bool:
    if found.shape.kind == "file":
        # All files, and pages that are opened from them, have this origin.
        return True
    return any(map(found.is_open, found.shape.parts))


def _is_accident(found: _Text) -> bool:
    if found.shape.kind != "named":
        return False
    if found.is_open("top"):
        return found.is_fixed("top") or found.is_fixed("name")
    # All names below one of the last labels may be meant: r"https://.*\.museum".
    return found.is_open("name") and found.is_fixed("name")


def _common_texts(
    expression: Automaton, is_fixed: list[bool], shape: Shape
) -> Iterator[_Text]:
    """Yield a shortest text for each combination of what was seen of the parts."""
    bits = [
        {number: _bit(shape, part, is_open=is_open) for part, number in shape.parts.items()}
        for is_open in (True, False)
    ]
    origins = shape.automaton
    start: _State = (-1, -1, 0)
    came_from: dict[_State, tuple[_State, int]] = {}
    waiting = deque([start])
    seen: set[int] = set()
    while waiting:
        state = waiting.popleft()
        one, other, flags = state
        if one in expression.last and other in origins.last and flags not in seen:
            seen.add(flags)
            yield _Text(_spelled(came_from, state), shape, flags)
        for after in expression.after.get(one, ()) if one >= 0 else expression.first:
            characters = expression.characters[after]
            for behind in origins.after.get(other, ()) if other >= 0 else origins.first:
                common = characters & origins.characters[behind]
                if not common:
                    continue
                bit = bits[is_fixed[after]].get(origins.groups[behind], 0)
                new = (after, behind, flags | bit)
                if new not in came_from:
                    came_from[new] = (state, common)
                    waiting.append(new)


def _bit(shape: Shape, part: str, *, is_open: bool) -> int:
    return 1 << 2 * shape.parts[part] + is_open


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
        if expression.fullmatch(text):
            return Example(_telling(expression, text), is_certain=True)
    return Example(texts[0].text, is_certain=False) if texts else None


def _telling(expression: re.Pattern[str], text: str) -> str:
    """Return an origin like one that an expression matches, with a telling name."""
    for index in [i for i in reversed(range(len(text))) if text[i] == "x"]:
        before, behind = text[:index], text[index + 1 :]
        if behind == "" or behind.startswith(":"):
            new = f"{before.removesuffix('.')}.evil.example{behind}"
        else:
            new = f"{before}evil{behind}"
        if is_origin(new) and expression.fullmatch(new):
            return new
    return text
