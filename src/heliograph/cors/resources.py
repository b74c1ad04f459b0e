"""
Which paths a policy is for.

The most specific resource wins, in this order: a path letter by letter; else what has the
longest fixed beginning; then what has more fixed characters; then what comes first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeAlias, TypeVar

from .regex import compile_bounded, fixed_characters, literal_beginning

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Resource", "Resources", "parse_resource", "resolve_dots"]

_Value = TypeVar("_Value")

# Tells that a text is a regular expression, as Flask-CORS tells. A star alone does not: it
# stands for any text.
_REGEX = re.compile(r"[\\()\[\]^$?]|\.\*")


class Resource(NamedTuple):
    """
    Some paths.

    Attributes:
        text: As it was written.
        expression: What a path has to begin with; :obj:`None` if it has to be the text.
        fixed: How many characters at the beginning are fixed, and how many in all.
    """

    text: str
    expression: re.Pattern[str] | None
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
        self._others: list[tuple[re.Pattern[str], _Value]] = []
        # Sorting keeps the order of what is as specific.
        for resource, value in sorted(self._rules, key=_specificity):
            if resource.expression is None:
                self._exact.setdefault(resource.text, value)
            else:
                self._others.append((resource.expression, value))

    def before(self, rules: Iterable[tuple[Resource, _Value]]) -> Resources[_Value]:
        """Give the same with more rules, which win where none is more specific."""
        return Resources([*rules, *self._rules])

    def find(self, path: str) -> _Value | None:
        """
        Give what is to be applied to a path.

        Args:
            path: Decoded once.
        """
        found = self._exact.get(path)
        if found is not None:
            return found
        for expression, value in self._others:
            if expression.match(path):
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
    fixed = len(literal_beginning(expression)), fixed_characters(expression)
    return Resource(expression.pattern, expression, fixed)


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
    if not star:
        return Resource(text, None, (len(text), len(text)))
    fixed = len(beginning), len(text) - text.count("*")
    if text == "*":
        return Resource(text, re.compile(""), fixed)
    body, below = (text[:-2], "(?:/.*)?") if text.endswith("/*") else (text, "")
    # Stars in a row are one: more would only take longer.
    parts = [re.escape(part) for part in re.split(r"\*+", body)]
    return Resource(text, re.compile(".*".join(parts) + below + r"\Z", re.DOTALL), fixed)


def _specificity(rule: tuple[Resource, object]) -> tuple[int, int]:
    beginning, characters = rule[0].fixed
    return -beginning, -characters
