"""
The names of methods and header fields that a policy lists, and the rules for them.

Methods are case-sensitive (RFC 9110 section 9.1), field names are not (section 5.1). Both
are tokens (section 5.6.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple, TypeAlias

from .proof import is_disjoint
from .regex import Stars, UnsafeRegexError, compile_bounded

__all__ = [
    "DEFAULT_METHODS",
    "NON_WILDCARD",
    "TOKEN",
    "HeaderRules",
    "HeadersOption",
    "parse_allow_headers",
    "parse_methods",
    "parse_names",
]

HeadersOption: TypeAlias = "str | re.Pattern[str] | Iterable[str | re.Pattern[str]]"

DEFAULT_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# RFC 9110 section 5.6.2.
TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_EXAMPLES = {
    "methods": ["GET", "POST"],
    "allow_headers": ["Content-Type"],
    "expose_headers": ["X-Total"],
}

# The only name that "*" does not cover: Fetch, "CORS non-wildcard request-header name".
NON_WILDCARD: Final = "authorization"

# Pages that read a stream with fetch send Last-Event-ID only when they reconnect, so nobody
# notices during development that it is not in the list. A page of an allowed origin gains
# nothing by sending these: HTML section 9.2, and RFC 9110 and 9111 for the others.
_OF_STREAMS: Final = frozenset({"accept", "cache-control", "last-event-id"})

# These characters make a header's name a regular expression. RFC 9110 allows some of them
# in a token, but no registered field has one. A star alone does not: it stands for any
# characters.
_REGEX = re.compile(r"[\\()\[\]{}^$|?+]|\.\*")

# A name that contains a star, such as "X-Company-*".
_STARRED = re.compile(r"(?=.*\*)(?=.*[^*])[!#%&'*.`~_0-9A-Za-z-]+")


class HeaderRules(NamedTuple):
    """
    The header fields that a preflight may ask for.

    Attributes:
        rules: The rules as they were given.
        any_name: Whether ``"*"`` is among them.
        names: Allowed names, in lower case, including those that event streams need.
        patterns: Patterns with stars, in lower case, one of which must match.
        expressions: Expressions one of which must match the whole name.
    """

    rules: tuple[str | re.Pattern[str], ...]
    any_name: bool
    names: frozenset[str]
    patterns: tuple[Stars, ...]
    expressions: tuple[re.Pattern[str], ...]

    def allow(self, name: str) -> bool:
        """
        Return whether a page may send a header field.

        Args:
            name: The field's name in lower case.
        """
        if name == "*":
            # A token, and so a name that a page may use. In an answer it would stand for
            # all names (Fetch, "CORS-preflight fetch").
            return False
        return (
            name in self.names
            or (self.any_name and name != NON_WILDCARD)
            or any(pattern.match(name) for pattern in self.patterns)
            or any(expression.fullmatch(name) for expression in self.expressions)
        )


def parse_methods(option: str | Iterable[str], problems: list[str]) -> tuple[str, ...]:
    """
    Read the option ``methods``.

    Args:
        option: One method or several, or ``"*"``.
        problems: Receives a sentence for each mistake.

    Returns:
        The methods that could be read, each once.
    """
    methods = parse_names("methods", option, problems)
    problems += [
        f"methods: {method!r} would never match, because methods are case-sensitive;"
        f" write {method.upper()!r}"
        for method in methods
        if method != method.upper() and method.upper() in DEFAULT_METHODS
    ]
    return methods


def parse_allow_headers(option: HeadersOption, problems: list[str]) -> HeaderRules:
    """
    Read the option ``allow_headers``.

    Args:
        option: One rule or several: a name, a name with stars, a regular expression as a
            text or compiled, or ``"*"``.
        problems: Receives a sentence for each mistake.

    Returns:
        The rules that could be read. They always allow ``Last-Event-ID``, ``Cache-Control``
        and ``Accept``.
    """
    names: list[str] = []
    expressions: list[re.Pattern[str]] = []
    patterns: list[Stars] = []
    rules = _listed("allow_headers", option, problems)
    for rule in rules:
        if isinstance(rule, re.Pattern) or (isinstance(rule, str) and _REGEX.search(rule)):
            try:
                expressions.append(_expression(rule))
            except UnsafeRegexError as error:
                problems.append(
                    f"allow_headers: {rule!r} is read as a regular expression, but {error}"
                )
        elif isinstance(rule, str) and _STARRED.fullmatch(rule):
            patterns.append(Stars(rule.lower()))
        else:
            names += _names("allow_headers", [rule], problems)
    lower = frozenset(name.lower() for name in names) - {"*"} | _OF_STREAMS
    return HeaderRules(rules, "*" in names, lower, tuple(patterns), tuple(expressions))


def _expression(rule: str | re.Pattern[str]) -> re.Pattern[str]:
    expression = compile_bounded(rule, ignore_case=True)
    if is_disjoint(expression, TOKEN):
        raise UnsafeRegexError(
            "it matches no name of a header (RFC 9110 section 5.1), which it must match as"
            " a whole; write an expression such as r'X-Company-.*'"
        )
    return expression


def parse_names(
    option: str, value: str | Iterable[str], problems: list[str]
) -> tuple[str, ...]:
    """
    Read an option that lists names.

    Args:
        option: The option's name, for messages.
        value: One name or several, or ``"*"``.
        problems: Receives a sentence for each mistake.

    Returns:
        The names that could be read, each once.
    """
    return tuple(dict.fromkeys(_names(option, _listed(option, value, problems), problems)))


def _listed(option: str, value: Any, problems: list[str]) -> tuple[Any, ...]:
    if isinstance(value, str | re.Pattern):
        return (value,)
    if not isinstance(value, Iterable) or isinstance(value, bytes):
        if isinstance(value, bytes):
            instead = repr(value.decode(errors="replace"))
        else:
            instead = f"a list, such as {_EXAMPLES[option]}"
        problems.append(
            f"{option}: {value!r} is neither a name nor a list of names; write {instead}"
        )
        return ()
    # A set has no order, and every process should send the same response.
    return tuple(sorted(value, key=str) if isinstance(value, AbstractSet) else value)


def _names(option: str, values: Iterable[Any], problems: list[str]) -> Iterator[str]:
    for value in values:
        if not isinstance(value, str):
            problems.append(f"{option}: {value!r} is not a string; write a name, or '*'")
        elif value == "*" or (TOKEN.fullmatch(value) and "*" not in value):
            yield value
        else:
            problems.append(f"{option}: {value!r} {_what_is_wrong(value)}")


def _what_is_wrong(text: str) -> str:
    """Return what is wrong with a name that is none, and what to write."""
    name, colon, _ = text.strip().partition(":")
    if colon and TOKEN.fullmatch(name):
        return f"has a colon; write {name!r}"
    names = [name for name in re.split(r"[\s,;]+", text) if name]
    if names and all(map(TOKEN.fullmatch, names)):
        if len(names) > 1:
            return f"is several names in one text; write {names!r}"
        if names[0] != text:
            return f"is a name with other characters around it; write {names[0]!r}"
    return "is not a token (RFC 9110 section 5.6.2); write a name, or '*'"
