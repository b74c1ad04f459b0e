"""
What a resource cannot be: a text or an expression that no path of a request matches.

Such a rule would be ignored in silence, and another one would apply to the paths that it
was meant for. A path begins with a slash, has neither query nor fragment, and is compared
after its percent-encoding was decoded (RFC 3986 section 3; PEP 3333).
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, TypeAlias

from .automaton import UnsafeRegexError
from .proof import is_disjoint
from .regex import alternatives

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["REGEX", "UnmatchableError", "check_expression", "check_text", "overlap"]

# These characters make a text a regular expression, as in Flask-CORS. A star alone does
# not: it stands for any text.
REGEX = re.compile(r"[\\()\[\]^$?]|\.\*|\*.*\||\|.*\*")

_Repair: TypeAlias = "Callable[[str, re.Match[str]], object]"

# "<int:id>" of Flask, "{id}" of Starlette, ":id" of others. Not "(?P<id>", not "{2}".
_VARIABLE = re.compile(
    r"(?<!\?P)<(?:\w+(?:\([^)]*\))?:)?\w+>|\{[A-Za-z_]\w*(?::\w+)?\}|(?<=/):[A-Za-z_]\w*"
)
_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_NEXT_PATH = re.compile(r"\s*[,;]\s*(?=/)|\s+(?=/)")


def _decoded(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("%", "")).decode(errors="replace")


def _evaluated(text: str, _: re.Match[str]) -> object:
    """Return the list or dict that a text holds, or an example."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        return ["/api/*"]


# What shows a mistake, what it is, and what to write instead.
_MISTAKES: tuple[tuple[re.Pattern[str], str, _Repair], ...] = (
    (re.compile(r"\A\Z"), "is empty", lambda *_: "/*"),
    (
        re.compile(r"\A\s|\s\Z"),
        "begins or ends with white space",
        lambda text, _: text.strip(),
    ),
    (
        # From a variable of the environment. Not a set of characters, and not "{2}".
        re.compile(r"""\A\s*(?:\[\s*["'][^"']*["'].*\]|\{\s*["'].*\})\s*\Z""", re.DOTALL),
        "is a list or a dict in one text",
        _evaluated,
    ),
    (
        re.compile(r"\A[A-Z]+(?:\s*[,|]\s*[A-Z]+)*\s+(?=/)"),
        "begins with a method, which belongs in the option methods",
        lambda text, found: text[found.end() :],
    ),
    (
        re.compile(r"\A\^?\./"),
        "begins with a dot, and paths begin with a slash",
        lambda text, found: text[found.end() - 1 :],
    ),
    (
        re.compile(r"\A\^?[\w.-]+:\d+(?=/|\Z)"),
        "begins with a host, and a resource is a path",
        lambda text, found: text[found.end() :] or "/*",
    ),
    (
        re.compile(r"\A\^?[a-z][\w+.?()|-]*:\\?/\\?/[^/]*", re.IGNORECASE),
        "is a URL, and a resource is a path",
        lambda text, found: text[found.end() :] or "/*",
    ),
    (
        # Not "(?=", and not an optional character that ends an expression.
        re.compile(r"(?<!\()\\?\?[\w-]+="),
        "has a query, which is not part of a path",
        lambda text, found: text[: found.start()],
    ),
    (
        _ENCODED,
        "is percent-encoded, and paths are compared after decoding",
        lambda text, _: _ENCODED.sub(_decoded, text),
    ),
    (_NEXT_PATH, "is several paths in one text", lambda text, _: _NEXT_PATH.split(text)),
)
_HAS_A_VARIABLE = "has a variable of a route, which has no meaning here"
_OF_PATHS: tuple[tuple[re.Pattern[str], str, _Repair], ...] = (
    *_MISTAKES,
    (
        re.compile("#"),
        "has a fragment, which browsers do not send",
        lambda text, found: text[: found.start()],
    ),
    (_VARIABLE, _HAS_A_VARIABLE, lambda text, _: _VARIABLE.sub("*", text)),
    (
        re.compile(r"\A(?:\.\./)+"),
        "begins with dots, and paths begin with a slash",
        lambda text, found: text[found.end() - 1 :],
    ),
    (
        # A text without any letter is nobody's path, but Flask-CORS's tests have one.
        re.compile(r"\A(?![/*]).*\w", re.DOTALL),
        "does not begin with a slash",
        lambda text, _: f"/{text}",
    ),
)
_OF_EXPRESSIONS: tuple[tuple[re.Pattern[str], str, _Repair], ...] = (
    *_MISTAKES,
    (_VARIABLE, _HAS_A_VARIABLE, lambda text, _: _VARIABLE.sub("[^/]+", text)),
    (
        re.compile(r"(?<!\\)(?:\\\\)*\\[afnrtv]"),
        "is read as a regular expression with a control character",
        lambda text, _: text.replace("\\", "/"),
    ),
)

_PATH = re.compile("(?s:/.*)")
_FLAGS = re.compile(r"\A\(\?[aimsux]+\)")


class UnmatchableError(ValueError):
    """
    A resource that no path matches.

    Args:
        reason: Why.
        instead: A resource to write instead, or a list or dict of some, that may have
            mistakes itself.
        advice: What to write in words, instead of that.
    """

    def __init__(self, reason: str, instead: object, advice: str = "") -> None:
        super().__init__(f"{reason}; write {advice or repr(instead)}")
        self.reason = reason
        self.instead = instead
        self.advice = advice


def check_text(text: str, *, is_expression: bool) -> None:
    """
    Check how a resource is written.

    Args:
        text: The resource as it was written, or the text of a compiled expression.
        is_expression: Whether it is going to be compiled.

    Raises:
        UnmatchableError: No path matches it.
    """
    for pattern, reason, repair in _OF_EXPRESSIONS if is_expression else _OF_PATHS:
        found = pattern.search(text)
        if found is not None:
            raise UnmatchableError(reason, repair(text, found))


def check_expression(pattern: re.Pattern[str]) -> None:
    """
    Check that each alternative of an expression can match a path.

    Args:
        pattern: The compiled expression.

    Raises:
        UnmatchableError: One cannot, since it does not match a slash at its beginning.
    """
    texts = alternatives(pattern.pattern)
    if all(_may_match_a_path(text, pattern.flags) for text in texts):
        return
    advice = ""
    if len(texts) > 1:
        advice = "a slash at the beginning of each alternative, or a list of resources"
    rest = pattern.pattern.removeprefix("^")
    # What begins with a literal dot is meant for the end of a path: r"\.json$".
    instead = f"/.*{rest}" if rest.startswith("\\.") else f"/{rest}"
    if not REGEX.search(instead):
        # As a text without such characters, it would be one whole path.
        instead = f"^{instead}"
    raise UnmatchableError(
        "is read as a regular expression that cannot match the slash with which each path"
        " begins",
        instead,
        advice,
    )


def overlap(one: str, other: str) -> bool:
    """
    Return whether there is a text that two patterns match.

    Args:
        one: A pattern in which each star stands for any text.
        other: Another one.
    """
    # From the ends: whether the rest of one and each rest of the other have such a text.
    rests = [not other[index:].strip("*") for index in range(len(other) + 1)]
    for character in reversed(one):
        before = rests
        rests = [character == "*" and before[-1]]
        for index in reversed(range(len(other))):
            if character == "*":
                found = before[index] or rests[0]
            elif other[index] == "*":
                found = rests[0] or before[index]
            else:
                found = character == other[index] and before[index + 1]
            rests.insert(0, found)
    return rests[0]


def _may_match_a_path(text: str, flags: int) -> bool:
    """Return whether an expression may match the beginning of a path."""
    try:
        # Flags at the beginning are among those of the whole expression.
        whole = re.compile(f"(?:{_FLAGS.sub('', text)})(?s:.*)", flags)
        return not is_disjoint(whole, _PATH)
    except (re.error, UnsafeRegexError):
        # An alternative that is none by itself: it is not known.
        return True
