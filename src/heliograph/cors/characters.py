"""
Sets of characters in regular expressions, as bits of a number.

Each of the 128 characters of ASCII has a bit, and all others share one. So a set that
contains any character beyond ASCII is taken to contain all of them. That errs towards
refusing an expression. Origins and names of headers contain ASCII only; paths may not.
"""

from __future__ import annotations

from re import (  # type: ignore[attr-defined]  # no public way to see what is inside
    _constants as op,
)
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ANY", "BITS", "characters_of"]

_ASCII = 128
_OTHER = 1 << _ASCII

# Beyond ASCII, and another case of letters of ASCII: the dotted and the dotless i, the long
# s, the sign of kelvins.
_OTHER_CASES = {0x130: "iI", 0x131: "iI", 0x17F: "sS", 0x212A: "kK"}

ANY = (_OTHER << 1) - 1
"""The set of all characters."""

BITS = tuple(1 << number for number in range(_ASCII + 1))
"""The smallest sets: one for each character of ASCII, and one for all others."""

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


def characters_of(kind: Any, value: Any, *, ignore_case: bool) -> int | None:
    """
    Return the characters that an item of a parsed expression matches.

    Args:
        kind: The item's kind, a constant of :mod:`re`.
        value: What belongs to it.
        ignore_case: Whether letters stand for both cases.

    Returns:
        A set; :obj:`None` if the item does not match a single character by itself, such as
        a back-reference.
    """
    if kind is op.ANY:
        # Without re.DOTALL it matches no line end. The larger set is the safe side.
        return ANY
    if kind is op.LITERAL:
        return _range(value, value, ignore_case=ignore_case)
    if kind is op.NOT_LITERAL:
        return _without(_range(value, value, ignore_case=ignore_case))
    if kind is op.IN:
        return _in(value, ignore_case=ignore_case)
    return None


def _in(items: list[tuple[Any, Any]], *, ignore_case: bool) -> int:
    characters = 0
    is_negated = False
    for kind, value in items:
        if kind is op.NEGATE:
            is_negated = True
        elif kind is op.LITERAL:
            characters |= _range(value, value, ignore_case=ignore_case)
        elif kind is op.RANGE:
            characters |= _range(*value, ignore_case=ignore_case)
        else:
            characters |= _category(value)
    return _without(characters) if is_negated else characters


def _range(low: int, high: int, *, ignore_case: bool) -> int:
    characters = 0
    for code in range(low, min(high, _ASCII - 1) + 1):
        characters |= 1 << code
        if ignore_case:
            both = chr(code).lower() + chr(code).upper()
            characters |= sum({1 << ord(character) for character in both})
    for code, letters in _OTHER_CASES.items():
        if ignore_case and low <= code <= high:
            characters |= sum(1 << ord(letter) for letter in letters)
    return characters | (_OTHER if high >= _ASCII else 0)


def _category(category: Any) -> int:
    if category in _NEGATED:
        return _without(_category(_NEGATED[category]))
    holds = _CATEGORIES[category]
    characters = [1 << code for code in range(_ASCII) if holds(chr(code))]
    return sum(characters) | _OTHER


def _without(characters: int) -> int:
    # The set may have contained some of the others, but not all.
    return ANY & ~characters | _OTHER
