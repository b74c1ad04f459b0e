"""
Which paths a policy is for.

The most specific resource wins, in this order: a path letter by letter; else what has more
fixed characters; then what has the longer fixed beginning; then what comes first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeAlias, TypeVar

from .regex import Stars, compile_bounded, fixed_characters, literal_beginning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Resource", "Resources", "parse_resource", "resolve_dots"]

_Value = TypeVar("_Value")

# Tells that a text is a regular expression, as Flask-CORS tells. A star alone does not: it
# stands for any text.
_REGEX = re.compile(r"[\\()\[\]^$?]|\.\*|\*.*\||\|.*\*")

# A path has no limit of its own, and the cost of an expression grows with its square.
_MAX_CHARACTERS = 2_048


class Resource(NamedTuple):
    """
    Some paths.

    Attributes:
        text: As it was written.
        matches: Tells whether a path is one; :obj:`None` if it has to be the text.
        is_expression: Whether it does so by a regular expression.
        fixed: How many characters are fixed, and how many of them at the beginning.
    """

    text: str
    matches: Callable[[str], object] | None
    is_expression: bool
    fixed: tuple[int, int]


Rules: TypeAlias = "list[tuple[Resource, _Value]]"


class Resources(Generic[_Value]):
    """
    What is to be applied to which paths.

    Args:
        rules: In the order in which they count where none is more specific.
    """

    def __init__(self, rules: Iterable[tuple[Resource, _Value]] = ()) -> None:
        self._rules = list(rules)
        self._exact: dict[str, _Value] = {}
        self._others: list[tuple[Callable[[str], object], _Value]] = []
        self._has_expressions = any(rule.is_expression for rule, _ in self._rules)
        # Sorting keeps the order of what is as specific.
        for resource, value in sorted(self._rules, key=_specificity):
            if resource.matches is None:
                self._exact.setdefault(resource.text, value)
            else:
                self._others.append((resource.matches, value))

    def before(self, rules: Iterable[tuple[Resource, _Value]]) -> Resources[_Value]:
        """Give the same with more rules, which win where none is more specific."""
        return Resources([*rules, *self._rules])

    def find(self, path: str) -> _Value | None:
        """
        Give what is to be applied to a path.

        Args:
            path: Decoded once.

        Returns:
            :obj:`None` also for a path of more than 2,048 characters, if there are
            regular expressions: none of them is asked, and what one of them restricts
            must not fall to another.
        """
        found = self._exact.get(path)
        if found is not None:
            return found
        if self._has_expressions and len(path) > _MAX_CHARACTERS:
            return None
        for matches, value in self._others:
            if matches(path):
                return value
        return None


def parse_resource(text: str | re.Pattern[str]) -> Resource:
    r"""
    Read a resource.

    Args:
        text: A path (``"/api/users"``); a path with stars, each for any text
            (``"/api/*"``, which is ``/api`` and all below it); a regular expression for
            the beginning of a path, as a text (``r"/api/v\d+/"``) or compiled.

    Raises:
        UnsafeRegexError: It is a regular expression that is none or is not bounded.
    """
    if isinstance(text, str) and not _REGEX.search(text):
        return _with_stars(text)
    expression = compile_bounded(text, ignore_case=False)
    fixed = fixed_characters(expression), len(literal_beginning(expression))
    return Resource(expression.pattern, expression.match, is_expression=True, fixed=fixed)


def resolve_dots(path: str) -> str:
    """
    Remove the segments ``.`` and ``..`` from a path. RFC 3986 section 5.2.4.

    Args:
        path: Decoded, beginning with a slash.
    """
    if "/." not in path:
        return path
    *folders, last = path.split("/")[1:]
    found: list[str] = []
    for segment in [*folders, "" if last in {".", ".."} else last]:
        if segment == "..":
            del found[-1:]
        elif segment != ".":
            found.append(segment)
    if last == "..":
        del found[-2:-1]
    return "/" + "/".join(found)


def _with_stars(text: str) -> Resource:
    beginning, star, _ = text.partition("*")
    fixed = len(text) - text.count("*"), len(beginning)
    if not star:
        return Resource(text, None, is_expression=False, fixed=fixed)
    matches: Callable[[str], object] = Stars(text).match
    if text.endswith("/*") and text.count("*") == 1:
        folder = text[:-2]

        def matches(path: str) -> bool:
            return path == folder or path.startswith(f"{folder}/")

    return Resource(text, matches, is_expression=False, fixed=fixed)


def _specificity(rule: tuple[Resource, object]) -> tuple[int, int]:
    characters, beginning = rule[0].fixed
    return -characters, -beginning
