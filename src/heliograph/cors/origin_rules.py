"""
The rules that the option ``origins`` may contain.

A mistake is answered with what to write instead. Rules that match the web sites of others
are found here, and refused by the policy if it supports credentials.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, TypeAlias

from .origins import DEFAULT_PORTS, Origins, Rule, is_origin
from .regex import UnsafeRegexError, compile_bounded, host_endings, literal_beginning

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .request import CorsRequest

__all__ = ["OriginsOption", "lets_strangers_in", "parse_origins"]

OriginsOption: TypeAlias = "Rule | Iterable[Rule]"

# What people write when they mean an origin: with a path, without a scheme, in capitals.
_NEARLY = re.compile(
    r"(?:([a-z][a-z0-9+.-]*):/+)?(?:[^/@\s]*@)?(\[[0-9a-f:.]+\]|[a-z0-9._*-]+)"
    r"(?::([0-9]+|\*))?(?:[/?#].*)?",
    re.IGNORECASE,
)

# A star stands for part of one label, so it never matches a dot.
_STAR = "[a-z0-9_-]+"
_PATTERN = re.compile(
    r"([a-z][a-z0-9+.-]*)://((?:[a-z0-9_*-]+\.)*[a-z0-9_*-]+|\[[0-9a-f:.]+\])"
    r"(?::([1-9][0-9]{0,4}|\*))?"
)
_ANY_PORT = "(?::[0-9]+)?"

# Names below which nobody can register a name: reserved by RFC 6761, by RFC 6762 ("local")
# and by ICANN ("internal"), or used in home networks and not in the root zone.
_PRIVATE = frozenset(
    {"example", "home", "internal", "invalid", "lan", "local", "localhost", "test"}
)

# A list in JSON, as it comes from an environment variable: it would be a valid expression,
# a set of characters.
_JSON = re.compile(r"""\s*[\[{]\s*["'].*""")

_ADDRESS = re.compile(r"//\[[0-9a-f:.]+\]")

# No origin has these characters: they make a text a regular expression. A star alone does
# not: it makes a pattern.
_REGEX = re.compile(r"[\\()\[\]{}^$|?+]|\.\*")


def parse_origins(option: OriginsOption, problems: list[str]) -> Origins:
    """
    Read the option ``origins``.

    Args:
        option: One rule or several.
        problems: Receives a sentence for each mistake.

    Returns:
        The rules that could be read.
    """
    if isinstance(option, str | re.Pattern) or callable(option):
        option = (option,)
    elif isinstance(option, bytes) or not isinstance(option, Iterable):  # type: ignore[redundant-expr]  # callers err
        problems.append(f"origins: {option!r} is neither an origin nor a list of origins")
        option = ()
    # A set has no order, and two policies with the same origins should be equal.
    rules = tuple(sorted(option, key=repr) if isinstance(option, AbstractSet) else option)
    if not rules and not problems:
        problems.append(
            "origins: the list is empty; write the origins that may read the answers, such"
            " as 'https://app.example'"
        )
    exact: list[str] = []
    expressions: list[re.Pattern[str]] = []
    functions: list[Callable[[str, CorsRequest], bool | Awaitable[bool]]] = []
    for rule in rules:
        try:
            if isinstance(rule, re.Pattern):
                expressions.append(compile_bounded(rule, ignore_case=False))
            elif callable(rule):
                functions.append(rule)
            elif not isinstance(rule, str):
                problems.append(
                    f"origins: {rule!r} is not a string, a regular expression or a function"
                )
            elif rule in {"*", ".*", "null"} or is_origin(rule):
                exact.append(rule)
            else:
                expressions.append(_expression(rule))
        except ValueError as error:
            problems.append(f"origins: {_shown(rule)} {error}")
    return Origins(
        rules=rules,
        exact=frozenset(exact) - {"*", ".*", "null"},
        expressions=tuple(expressions),
        functions=tuple(functions),
        any_origin=not {"*", ".*"}.isdisjoint(exact),
        null="null" in exact,
    )


def lets_strangers_in(expression: re.Pattern[str]) -> bool:
    r"""
    Return whether an expression matches web sites that anybody may set up.

    ``https://app.example.*`` matches ``https://app.example.evil.example``, and
    ``https://.*app\.example`` matches ``https://evilapp.example``. An expression is safe
    if every host that it matches ends in two labels that are written out, or in a name that
    nobody can register. It is also safe if it begins with another scheme than HTTP's:
    browser extensions have random names.

    Args:
        expression: An expression that :func:`.compile_bounded` has accepted.
    """
    scheme, ends, _ = literal_beginning(expression).lower().partition("://")
    if ends and scheme not in {"http", "https"}:
        return False
    found = host_endings(expression)
    # A whole match has a scheme; if not, the colon that looked like a port's was the
    # scheme's.
    return found is None or not all(
        (is_whole and "://" in text) or _is_somebodys(text.partition(".")[2])
        for text, is_whole in found
    )


def _is_somebodys(name: str) -> bool:
    """Return whether one owner has all names that end in a dot and this name."""
    *above, last = name.split(".")
    return bool(last) and (bool(above) or last in _PRIVATE)


def _expression(rule: str) -> re.Pattern[str]:
    match = _PATTERN.fullmatch(rule)
    if match is not None and "*" in rule and match[1] != "file":
        return _pattern(rule, *match.groups())
    if _JSON.fullmatch(rule):
        raise ValueError("looks like a list in JSON; pass it through json.loads(…)")
    if not _REGEX.search(_ADDRESS.sub("//", rule)) or rule.startswith("file:"):
        raise ValueError(_what_is_wrong(rule))
    try:
        # Origins are in lower case; Flask-CORS ignores case in such a text as well.
        return compile_bounded(rule, ignore_case=True)
    except UnsafeRegexError as error:
        raise ValueError(f"is read as a regular expression, but {error}") from error


def _pattern(rule: str, scheme: str, host: str, port: str | None) -> re.Pattern[str]:
    if port is not None and DEFAULT_PORTS.get(scheme) == port:
        raise ValueError(
            "is not what a browser sends, and so would never match; write"
            f" {rule.rpartition(':')[0]!r}"
        )
    *_, parent, name = ["", *host.split(".")]
    if "*" not in host:
        return re.compile(re.escape(f"{scheme}://{host}") + _ANY_PORT)
    if "*" in name or ("*" in parent and name not in _PRIVATE):
        raise ValueError(
            "matches names that anybody may have; end it with a name of yours, such as"
            f" '{scheme}://*.yours.example', and write ':*' for any port"
        )
    if any(label.count("*") > 1 for label in host.split(".")):
        raise ValueError(
            "has two stars in one label; a star stands for characters of one label: write"
            " one star, or a regular expression"
        )
    text = re.escape(f"{scheme}://{host}").replace(r"\*", _STAR)
    if port is not None:
        text += _ANY_PORT if port == "*" else f":{port}"
    return re.compile(text)


def _what_is_wrong(rule: str) -> str:
    """Return why a text is not an origin, and what to write instead."""
    match = _NEARLY.fullmatch(rule.strip())
    if rule.lower().startswith("file:"):
        # HTML section 7.1.1 leaves the origin of file: URLs to browsers, which send "null".
        return "is not an origin; pages that are opened from files have the origin 'null'"
    if match is None:
        if "," in rule or " " in rule.strip():
            return "is not an origin; write several as a list of strings"
        if not rule.isascii():
            # RFC 5890 section 2.3.2.1: browsers send the A-label.
            return "is not ASCII; write the name as browsers send it, as 'https://xn--…'"
        return (
            "is not an origin; write scheme, host and port, such as 'https://app.example'"
        )
    scheme, host, port = match.groups()
    origin = f"{scheme or 'https'}://{host}".lower()
    if port is not None and DEFAULT_PORTS.get((scheme or "https").lower()) != port:
        origin += f":{port}"
    if not _can_be_written(origin):
        return (
            "is not an origin; write scheme, host and port, such as 'https://app.example'"
        )
    if scheme is None:
        return f"has no scheme; write {origin!r}"
    return f"is not what a browser sends, and so would never match; write {origin!r}"


def _can_be_written(rule: str) -> bool:
    if is_origin(rule):
        return True
    match = _PATTERN.fullmatch(rule)
    if match is None or "*" not in rule:
        return False
    try:
        _pattern(rule, *match.groups())
    except ValueError:
        return False
    return True


def _shown(rule: object) -> str:
    return repr(rule.pattern if isinstance(rule, re.Pattern) else rule)
