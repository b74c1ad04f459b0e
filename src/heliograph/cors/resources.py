"""
Resources: the paths that a policy is for.

The most specific resource wins, in this order: a path that is written out; else the one
with more fixed characters; then the one with the longer fixed beginning; then the first.
Flask-CORS prefers the one with more slashes, then the longer text, so that an expression
such as ``/[a-z]*/[a-z0-9]*/[a-z]*`` beats ``/api/v1/.*`` (CVE-2024-6839, in part still so
in 6.0.5).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

from .regex import (
    Stars,
    UnsafeRegexError,
    compile_bounded,
    fixed_characters,
    literal_beginning,
)
from .resource_texts import REGEX, UnmatchableError, check_expression, check_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Resource", "Resources", "find_unambiguous", "parse_resource", "resolve_dots"]

_Value = TypeVar("_Value")

# RFC 9110 sets no limit for a path (section 4.1 only asks servers to support 8,000 octets),
# and the cost of an expression grows with the square of the length.
_MAX_CHARACTERS = 2_048

_MAX_REPAIRS = 20


class Resource(NamedTuple):
    """
    A set of paths.

    Attributes:
        text: The resource as it was written.
        matches: Returns something true for a path of the resource; :obj:`None` if only
            the text itself is one.
        is_expression: Whether ``matches`` runs a regular expression.
        fixed: The number of characters that every path of the resource has, and the number
            of those at its beginning.
        outline: A pattern in which each star stands for any text, and which all paths of
            the resource match.
    """

    text: str
    matches: Callable[[str], object] | None
    is_expression: bool
    fixed: tuple[int, int]
    outline: str


Rules: TypeAlias = "list[tuple[Resource, _Value]]"


class Resources(Generic[_Value]):
    """
    A table of resources, each with a value.

    Args:
        rules: Resources and their values. Between equally specific ones, the first wins.
    """

    def __init__(self, rules: Iterable[tuple[Resource, _Value]] = ()) -> None:
        self._rules = list(rules)
        self._exact: dict[str, _Value] = {}
        self._others: list[tuple[Callable[[str], object], _Value]] = []
        self._has_expressions = any(rule.is_expression for rule, _ in self._rules)
        # The sort is stable: between equals, the first stays first.
        for resource, value in sorted(self._rules, key=_specificity):
            if resource.matches is None:
                self._exact.setdefault(resource.text, value)
            else:
                self._others.append((resource.matches, value))

    def before(self, rules: Iterable[tuple[Resource, _Value]]) -> Resources[_Value]:
        """Return a table with more rules, which win over equally specific ones here."""
        return Resources([*rules, *self._rules])

    def find(self, path: str) -> _Value | None:
        """
        Return the value of the most specific resource that covers a path.

        Args:
            path: The path, decoded once.

        Returns:
            The value; :obj:`None` if no resource covers the path. Also :obj:`None` for a
            path of more than 2,048 characters, if there are regular expressions: none is
            run then, and a path that one of them restricts must not fall to another
            resource.
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
    Parse a resource.

    Paths are case-sensitive (RFC 3986 section 6.2.2.1; Flask-CORS ignored case until 6.0.0,
    CVE-2024-6866).

    Args:
        text: A path (``"/api/users"``); a path with stars, each for any text
            (``"/api/*"`` is ``/api`` and everything below it); or a regular expression for
            the beginning of a path, as a text (``r"/api/v\d+/"``) or compiled.

    Raises:
        UnsafeRegexError: The text is an invalid regular expression, or one whose cost is
            not bounded.
        UnmatchableError: No path matches it. What it says to write instead was parsed.
    """
    try:
        return _parsed(text)
    except UnmatchableError as error:
        if error.advice:
            raise
        instead = _mended(error.instead)
        advice = "" if instead is not None else "a path, such as '/api/*'"
        raise UnmatchableError(error.reason, instead, advice) from None


def _parsed(text: str | re.Pattern[str]) -> Resource:
    if isinstance(text, str):
        is_expression = REGEX.search(text) is not None
        check_text(text, is_expression=is_expression)
        if not is_expression:
            return _with_stars(text)
    expression = compile_bounded(text, ignore_case=False)
    if isinstance(text, re.Pattern) and not expression.flags & re.VERBOSE:
        check_text(expression.pattern, is_expression=True)
    check_expression(expression)
    beginning = literal_beginning(expression)
    return Resource(
        expression.pattern,
        expression.match,
        is_expression=True,
        fixed=(fixed_characters(expression), len(beginning)),
        outline=f"{beginning}*",
    )


def _mended(instead: object) -> Any:
    """Return what to write instead without mistakes of its own; None if it has others."""
    if isinstance(instead, dict):
        paths = _mended([*instead])
        return dict(zip(paths, instead.values(), strict=True)) if paths else None
    if isinstance(instead, list):
        each = [*map(_mended, instead)]
        return each if None not in each else None
    if not isinstance(instead, str):
        return None
    # A URL may have a query, too. There are fewer kinds of mistakes than that.
    for _ in range(_MAX_REPAIRS):
        try:
            _parsed(instead)
        except UnmatchableError as error:
            if not isinstance(error.instead, str) or error.advice:
                return None
            instead = error.instead
        except UnsafeRegexError:
            return None
        else:
            return instead
    return None


def find_unambiguous(find: Callable[[str], _Value | None], path: str) -> _Value | None:
    """
    Return the value for a path, if it does not depend on who resolves the path's dots.

    Browsers resolve them (URL standard, "path state"), attackers do not, and gunicorn and
    werkzeug pass them on. ``/api/x/..%2f..%2fpublic`` is served by the route
    ``/api/<path:…>``, but its view may read ``/public``. Flask-CORS 6.0.5 still takes
    ``/api/../x`` for a path of ``/api/.*`` (CVE-2020-25032).

    Args:
        find: Returns the value for a path, such as :meth:`Resources.find`.
        path: The path, decoded once. A second decoding, as in Flask-CORS, takes
            ``/pub%252Fx`` for ``/pub/x`` (CVE-2024-6844).

    Returns:
        The value; :obj:`None` if there is none, or if the resolved path has another one.
    """
    value = find(path)
    resolved = resolve_dots(path)
    if resolved is not path and find(resolved) is not value:
        return None
    return value


def resolve_dots(path: str) -> str:
    """
    Remove the segments ``.`` and ``..`` from a path. RFC 3986 section 5.2.4.

    Args:
        path: The decoded path. It begins with a slash.

    Returns:
        The resolved path; the very same object if there is nothing to resolve.
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
        return Resource(text, None, is_expression=False, fixed=fixed, outline=text)
    matches: Callable[[str], object] = Stars(text).match
    outline = text
    if text.endswith("/*") and text.count("*") == 1:
        folder = text[:-2]
        outline = f"{folder}*"

        def matches(path: str) -> bool:
            return path == folder or path.startswith(f"{folder}/")

    return Resource(text, matches, is_expression=False, fixed=fixed, outline=outline)


def _specificity(rule: tuple[Resource, object]) -> tuple[int, int]:
    characters, beginning = rule[0].fixed
    return -characters, -beginning
