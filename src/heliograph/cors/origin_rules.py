"""
The rules that the option ``origins`` may contain.

A mistake is answered with what to write instead, as far as that can be guessed. What is
guessed is read again before it is offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, TypeAlias

from .host_writing import WEB_SCHEMES, is_starred_address, origin_of
from .mending import mended_empty, quoted
from .origins import DEFAULT_PORTS, Origins, Rule, is_origin
from .proof import examine
from .regex import UnsafeRegexError, compile_bounded
from .shapes import PRIVATE_NAMES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .request import CorsRequest

__all__ = ["OriginsOption", "parse_origins"]

OriginsOption: TypeAlias = "Rule | Iterable[Rule]"

# A star stands for part of one label, so it never matches a dot.
_STAR = "[a-z0-9_-]+"
_PATTERN = re.compile(
    r"([a-z][a-z0-9+.-]*)://((?:[a-zA-Z0-9_*-]+\.)*[a-zA-Z0-9_*-]+|\[[0-9a-f:.]+\])"
    r"(?::([1-9][0-9]{0,4}|\*))?"
)
_ANY_PORT = "(?::[0-9]+)?"

# A list in JSON, as it comes from an environment variable: it would be a valid expression,
# a set of characters.
_JSON = re.compile(r"""\s*[\[{]\s*["'].*""")

# An address in IPv6, in any spelling. Its brackets do not make an expression.
_ADDRESS = re.compile(r"^[a-z]*:?/*\[[0-9a-f:.]+\]", re.IGNORECASE)
_NUMBERS = re.compile(r"[0-9.*]*[0-9][0-9.*]*")

# No origin has these characters: they make a text a regular expression. A star alone does
# not: it makes a pattern.
_REGEX = re.compile(r"[\\()\[\]{}^$|?+]|\.\*")

# What people write between the origins of a list.
_SEPARATORS = re.compile(r"[\s,;]+")

_ANY = frozenset({"*", ".*"})

_EXAMPLE = "write scheme, host and port, such as 'https://app.example'"


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
    expressions: dict[re.Pattern[str], str] = {}
    functions: list[Callable[[str, CorsRequest], bool | Awaitable[bool]]] = []
    for rule in rules:
        try:
            if isinstance(rule, re.Pattern):
                expressions[_expression(rule)] = rule.pattern
            elif callable(rule):
                functions.append(rule)
            elif not isinstance(rule, str):
                problems.append(
                    f"origins: {rule!r} is not a string, a regular expression or a function"
                    f"{'; is a variable of the environment missing?' * (rule is None)}"
                )
            elif rule in _ANY or rule == "null" or _is_exact(rule):
                exact.append(rule)
            else:
                expressions[_pattern_or_expression(rule)] = rule
        except ValueError as error:
            problems.append(f"origins: {_shown(rule)} {error}")
    return Origins(
        rules=rules,
        exact=frozenset(exact) - _ANY - {"null"},
        expressions=expressions,
        functions=tuple(functions),
        any_origin=not _ANY.isdisjoint(exact),
        null="null" in exact,
    )


def _is_exact(rule: str) -> bool:
    """Return whether a text is an origin that a browser may send."""
    if not is_origin(rule):
        return False
    return rule.partition("://")[0] not in DEFAULT_PORTS or origin_of(rule) == rule


def _expression(rule: str | re.Pattern[str]) -> re.Pattern[str]:
    """Return a regular expression. Its text ignores case, as in Flask-CORS."""
    is_text = isinstance(rule, str)
    read = "is read as a regular expression, but " if is_text else ""
    try:
        expression = compile_bounded(rule, ignore_case=is_text)
    except UnsafeRegexError as error:
        raise ValueError(f"{read}{error}") from error
    if examine(expression).is_empty:
        mended = mended_empty(expression)
        hint = quoted(mended) if mended else r"r'https://(.*\.)?app\.example'"
        raise ValueError(
            f"{read}{'it ' * is_text}matches no origin. It must match all of one: scheme,"
            " host, and any port that is not the scheme's own, as in"
            f" 'http://localhost:3000'; write {'for example ' * (not mended)}{hint}"
        )
    return expression


def _pattern_or_expression(rule: str) -> re.Pattern[str]:
    match = _PATTERN.fullmatch(rule)
    if match is not None and "*" in rule and match[1] != "file":
        return _pattern(rule, *match.groups())
    if _JSON.fullmatch(rule):
        raise ValueError("looks like a list in JSON; pass it through json.loads(…)")
    if several := _several(rule):
        raise ValueError(f"is one text; write a list of origins: {several}")
    if not _REGEX.search(_ADDRESS.sub("", rule)) or rule.startswith("file:"):
        raise ValueError(_what_is_wrong(rule))
    return _expression(rule)


def _pattern(rule: str, scheme: str, host: str, port: str | None) -> re.Pattern[str]:
    if scheme not in WEB_SCHEMES:
        return _compiled(scheme, host, port, star="[A-Za-z0-9_-]+")
    if port is not None and DEFAULT_PORTS.get(scheme) == port:
        raise ValueError(
            "is not what a browser sends, and so would never match; write"
            f" {rule.rpartition(':')[0]!r}"
        )
    if origin_of(rule) != rule:
        raise ValueError(_what_is_wrong(rule))
    if "*" not in host:
        return _compiled(scheme, host, port, star="")
    if is_starred_address(host):
        return _compiled(scheme, host, port, star="[0-9]+")
    *_, parent, name = ["", *host.split(".")]
    if "*" in name or ("*" in parent and name not in PRIVATE_NAMES):
        raise ValueError(
            "matches names that anybody may have; end it with a name of yours, such as"
            f" '{scheme}://*.yours.example', and write ':*' for any port"
        )
    if any(label.count("*") > 1 for label in host.split(".")):
        raise ValueError(
            "has two stars in one label; a star stands for characters of one label: write"
            " one star, or a regular expression"
        )
    return _compiled(scheme, host, port, star=_STAR)


def _compiled(scheme: str, host: str, port: str | None, *, star: str) -> re.Pattern[str]:
    text = re.escape(f"{scheme}://{host}").replace(r"\*", star)
    if port is not None:
        text += _ANY_PORT if port == "*" else f":{port}"
    return re.compile(text)


def _several(rule: str) -> list[str] | None:
    """Return the origins that a text lists; None if it is no such list."""
    parts = [part for part in _SEPARATORS.split(rule.strip()) if part]
    if not _SEPARATORS.search(rule.strip()) or _REGEX.search(
        _ADDRESS.sub("", "".join(parts))
    ):
        return None
    found = [part if _can_be_written(part) else origin_of(part) for part in parts]
    return [each for each in found if each] if found and all(found) else None


def _what_is_wrong(rule: str) -> str:
    """Return why a text is not an origin, and what to write instead."""
    text = rule.strip()
    if not text:
        return (
            "is empty: a variable of the environment that is not set, or a comma at the"
            " end of a list? Leave it out, or write an origin"
        )
    if not text.isascii():
        # RFC 5890 section 2.3.2.1: browsers send the A-label.
        return "is not ASCII; write the name as browsers send it, as 'https://xn--…'"
    if text.lower().startswith("file:"):
        # HTML section 7.1.1 leaves the origin of file: URLs to browsers.
        return (
            "is not what a browser sends, and so would never match; write 'null' for pages"
            " that a browser opens from files, 'file://' for those of Android's WebView"
            " and of Electron"
        )
    if "," in text or ";" in text or " " in text:
        return "is not an origin; write several as a list of strings"
    if re.match(r"(?:ws|wss|ftp)://", text, re.IGNORECASE):
        return (
            "is not the origin of a page, whose scheme is 'https' or 'http'; write"
            f" {origin_of(text) or 'https://app.example'!r}"
        )
    origin = origin_of(text)
    if origin is None or not _can_be_written(origin):
        if _has_numbers(text):
            return (
                "is not an address of four numbers up to 255, of which each may be a star;"
                " write for example 'http://192.168.1.*:3000'"
            )
        return f"is not an origin; {_EXAMPLE}"
    if text[0] in "'\"":
        return f"has quotation marks in it; write {origin!r}"
    if "://" not in text and not re.match("https?(?::|//)", text, re.IGNORECASE):
        return f"has no scheme; write {origin!r}"
    return f"is not what a browser sends, and so would never match; write {origin!r}"


def _has_numbers(text: str) -> bool:
    host = text.rpartition("//")[2].partition("/")[0].partition(":")[0]
    return _NUMBERS.fullmatch(host) is not None and bool(host.strip("*."))


def _can_be_written(rule: str) -> bool:
    if _is_exact(rule):
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
