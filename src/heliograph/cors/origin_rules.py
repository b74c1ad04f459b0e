"""
The rules that the option ``origins`` may contain.

A mistake is answered with what to write instead, as far as that can be guessed. What is
guessed is read again before it is offered.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, TypeAlias

from .host_writing import origin_of
from .mending import mended_cost, mended_empty, quoted
from .origin_mistakes import (
    looks_like_an_expression,
    wrong_expression,
    wrong_set,
    wrong_text,
)
from .origin_patterns import is_exact, parse_pattern
from .origins import Origins, Rule
from .proof import examine
from .regex import UnsafeRegexError, alternatives, compile_bounded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .request import CorsRequest

__all__ = ["OriginsOption", "parse_origins"]

OriginsOption: TypeAlias = "Rule | Iterable[Rule]"

_ANY = frozenset({"*", ".*"})


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
    elif isinstance(option, bytes | Mapping) or not isinstance(option, Iterable):
        problems.append(
            f"origins: {option!r} is neither an origin nor a list of origins; write one"
            f' such as ["https://app.example"]{_missing(option)}'
        )
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
                _check_function(rule)
                functions.append(rule)
            elif not isinstance(rule, str):
                # Such as a URL of pydantic's.
                origin = origin_of(str(rule))
                hint = f"; write {origin!r}" if origin and "://" in str(rule) else ""
                problems.append(
                    f"origins: {rule!r} is not a string, a regular expression or a function"
                    f"{hint}{_missing(rule)}"
                )
            elif rule in _ANY or rule == "null" or is_exact(rule):
                exact.append(rule)
            else:
                expressions[_of_text(rule)] = rule
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


def _missing(value: object) -> str:
    return "; is a variable of the environment missing?" if value is None else ""


def _check_function(function: Callable[..., object]) -> None:
    """Raise ValueError if a function cannot be called with an origin and a request."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # written in C
    try:
        signature.bind("https://app.example", None)
    except TypeError:
        raise ValueError(
            "is a function that must take two arguments, the origin and the request; write"
            " def allow(origin, request)"
        ) from None


def _of_text(rule: str) -> re.Pattern[str]:
    """Return the expression of a text that is not an origin."""
    pattern = parse_pattern(rule)
    if pattern is not None:
        return pattern
    if looks_like_an_expression(rule):
        return _expression(rule)
    raise ValueError(wrong_text(rule))


def _expression(rule: str | re.Pattern[str]) -> re.Pattern[str]:
    """Return a regular expression. Its text ignores case, as in Flask-CORS."""
    is_text = isinstance(rule, str)
    wrong = wrong_expression(rule) if isinstance(rule, str) else wrong_set(rule)
    if wrong is not None:
        raise ValueError(wrong)
    read = "is read as a regular expression, but it" if is_text else "is an expression that"
    try:
        expression = compile_bounded(rule, ignore_case=is_text)
    except UnsafeRegexError as error:
        mended = mended_cost(rule)
        hint = f"; write {quoted(mended)}" if mended else ""
        raise ValueError(
            f"is {'read as a regular' if is_text else 'an'} expression, but {error}{hint}"
        ) from error
    if not examine(expression).is_empty:
        _check_alternatives(expression)
        return expression
    if expression.pattern.strip("^$()") == "null":
        raise ValueError(
            f"{read} is never asked about pages without an origin; write 'null'"
        )
    mended = mended_empty(expression)
    hint = quoted(mended) if mended else r"for example r'https://(.*\.)?app\.example'"
    raise ValueError(
        f"{read} matches no origin. It must match all of one: scheme, host, and any port"
        " that is not the scheme's own, as in 'http://localhost:3000'; write"
        f" {hint}"
    )


def _check_alternatives(expression: re.Pattern[str]) -> None:
    """Raise ValueError if one of several alternatives can match no origin."""
    texts = alternatives(expression.pattern)
    for text in texts if len(texts) > 1 else ():
        try:
            alternative = compile_bounded(
                re.compile(text, expression.flags), ignore_case=False
            )
        except (re.error, UnsafeRegexError):
            continue
        if not examine(alternative).is_empty:
            continue
        if text.strip("^$()") == "null":
            raise ValueError(
                f"has the alternative {text!r}, which no expression is asked about; write"
                " 'null' as a rule of its own"
            )
        mended = mended_empty(alternative)
        hint = f"; write {quoted(mended)} for it" if mended else ""
        raise ValueError(
            f"has the alternative {text!r}, which matches no origin. Each must match all of"
            f" one, with its scheme{hint}"
        )


def _shown(rule: object) -> str:
    return repr(rule.pattern if isinstance(rule, re.Pattern) else rule)
