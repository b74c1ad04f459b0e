"""
Rules for settings: which values one may have, and the sentence about any other value.

A sentence begins with the name of the setting, so that each caller can use the name that
its user has written.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["CENTURY", "DAY", "Choice", "Number", "Rule", "seconds"]

DAY = 86_400
"""Seconds of a day."""

CENTURY = 100 * 366 * DAY
"""Seconds that stand for "for ever": a loop cannot wait until infinity."""

# No timer is more precise than this, so "above 0" means at least this.
_TICK = 0.001

_WHOLE = ("a whole number", int)
_SECONDS = ("a number of seconds", int | float)


@dataclass(frozen=True, slots=True)
class Choice:
    """
    The values that a setting may have.

    Args:
        values: All of them.
    """

    values: tuple[str | None, ...]

    def problem(self, name: str, value: object) -> str | None:
        """
        Return what is wrong with a value; :obj:`None` if it is valid.

        Args:
            name: The name of the setting, with which the sentence begins.
            value: Any value.
        """
        if value in self.values:
            return None
        *others, last = [repr(each) for each in self.values]
        nearest: list[str] = []
        if isinstance(value, str):
            words = [word for word in self.values if word is not None]
            nearest = difflib.get_close_matches(value, words, 1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        return f"{name} must be {', '.join(others)} or {last}, not {value!r}{hint}"


@dataclass(frozen=True, slots=True)
class Number:
    """
    The range of a setting that is a number.

    Args:
        low: Smallest value.
        high: Largest value.
        whole: Whether only an int is a value; otherwise a float is one, too.
        optional: Whether :obj:`None` is a value.
    """

    low: float
    high: float = math.inf
    whole: bool = True
    optional: bool = False

    def problem(self, name: str, value: object) -> str | None:
        """
        Return what is wrong with a value; :obj:`None` if it is valid.

        Args:
            name: The name of the setting, with which the sentence begins.
            value: Any value.
        """
        if value is None and self.optional:
            return None
        kind, types = _WHOLE if self.whole else _SECONDS
        if not isinstance(value, types) or isinstance(value, bool):
            return f"{name} must be {kind}, not {value!r}"
        if not self.low <= value <= self.high:
            limits = f"at least {self.low}"
            if self.high not in {math.inf, CENTURY}:
                limits = f"between {self.low} and {self.high}"
            return f"{name} must be {limits}, not {value!r}"
        return None


Rule: TypeAlias = Choice | Number


def seconds(low: float = _TICK, high: float = CENTURY, *, optional: bool = False) -> Number:
    """
    Return the rule of a setting that is a duration.

    Args:
        low: Smallest value; above 0 by default.
        high: Largest value.
        optional: Whether :obj:`None` is a value.
    """
    return Number(low, high, whole=False, optional=optional)
