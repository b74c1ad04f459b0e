"""
The options of :class:`.CORS` and :func:`.cross_origin`, turned into rules.

Their names, forms and defaults are those of Flask-CORS 6.0.5. It ignores unknown options
with a warning; here they are an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypedDict

from ..cors import CorsPolicy
from ..cors.names import DEFAULT_METHODS, HeadersOption
from ..cors.option_mistakes import not_a_flag, unknown_option
from ..cors.policy import OPTIONS
from ..cors.regex import UnsafeRegexError
from ..cors.resource_texts import UnmatchableError
from ..cors.resources import Resource, parse_resource
from ..errors import CorsConfigError
from ..faces.cors import warn_of
from .cors_config import FOR_APPS, FOR_RESOURCES, FOR_ROUTES

if TYPE_CHECKING:
    from ..cors.origin_rules import OriginsOption

__all__ = [
    "CorsOptions",
    "CrossOriginOptions",
    "Rule",
    "check_options",
    "kept",
    "make_rule",
    "make_rules",
]

_Path: TypeAlias = "str | re.Pattern[str]"

# The defaults of Flask-CORS. CorsPolicy has those of the standard.
_DEFAULTS: Mapping[str, Any] = {
    "origins": "*",
    "methods": DEFAULT_METHODS,
    "allow_headers": "*",
    "expose_headers": None,
    "send_wildcard": False,
    "automatic_options": True,
    "intercept_exceptions": True,
}
_FLAGS = ("automatic_options", "intercept_exceptions")

# What to write for origins with credentials, by what the options are for.
_WITH = "origins=['https://app.example'], supports_credentials=True)"
_WAYS_OUT: Mapping[str, str] = {
    "application": f"write CORS(app, {_WITH}, or set CORS_ORIGINS in app.config",
    "blueprint": f"write CORS(blueprint, {_WITH}; a blueprint inherits nothing from"
    " CORS(app) or app.config",
    "route": f"write @cross_origin({_WITH}, or set CORS_ORIGINS in app.config; a route"
    " inherits nothing from CORS(app)",
}

# Stands for the origins of the configuration, while options are checked without it.
_SOMEONE = "https://someone.example"


class CrossOriginOptions(TypedDict, total=False):
    """The options of :func:`.cross_origin`. See :class:`~heliograph.cors.CorsPolicy`."""

    origins: OriginsOption
    methods: str | Iterable[str]
    allow_headers: HeadersOption | None
    expose_headers: str | Iterable[str] | None
    supports_credentials: bool
    max_age: timedelta | int | str | None
    send_wildcard: bool
    always_send: bool
    vary_header: bool
    allow_private_network: bool
    dangerously_allow_any_origin_with_credentials: bool
    automatic_options: bool


class CorsOptions(CrossOriginOptions, total=False):
    """The options of :class:`.CORS`: those of :func:`.cross_origin`, and two more."""

    intercept_exceptions: bool
    resources: _Path | Iterable[_Path] | Mapping[_Path, Mapping[str, Any]]


class Rule(NamedTuple):
    """
    A policy, and the options that Flask's face needs beside it.

    Attributes:
        policy: The policy.
        automatic_options: Whether preflights are answered before the view.
        intercept_exceptions: Whether the response to an unhandled exception gets the
            headers.
        private_network: The option ``allow_private_network``; :obj:`None` if it was not
            given.
        names_origins: Whether the option ``origins`` was given. Otherwise every origin is
            allowed.
    """

    policy: CorsPolicy
    automatic_options: bool
    intercept_exceptions: bool
    private_network: bool | None
    names_origins: bool


def kept(options: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return options that can be read more than once.

    Args:
        options: The options as they were written. Iterators among them become lists.
    """
    return {
        name: list(value) if isinstance(value, Iterator) else value
        for name, value in options.items()
    }


def check_options(options: Mapping[str, Any]) -> None:
    """
    Check the options of a route, as far as possible without its application.

    Args:
        options: The options as they were written.

    Raises:
        CorsConfigError: Listing every mistake that no configuration can put right.
    """
    problems = _unknown(options, FOR_ROUTES)
    known = {name: options[name] for name in FOR_ROUTES if name in options}
    make_rule({"origins": _SOMEONE, **known}, problems, for_what="route")
    if problems:
        raise CorsConfigError(problems)


def make_rule(
    options: Mapping[str, Any], problems: list[str], *, for_what: str
) -> Rule | None:
    """
    Build a rule.

    Args:
        options: Known options, as they were written. Those that are missing have
            Flask-CORS's default.
        problems: Receives a sentence for each mistake.
        for_what: ``application``, ``blueprint`` or ``route``.

    Returns:
        The rule; :obj:`None` if there are mistakes.
    """
    merged = {**_DEFAULTS, **options}
    found = [
        not_a_flag(name, merged[name])
        for name in _FLAGS
        if not isinstance(merged[name], bool)
    ]
    values = {name: merged[name] for name in OPTIONS if name in merged}
    values["methods"] = _listed(merged["methods"], change=str.upper)
    values["allow_headers"] = _allow_headers(merged["allow_headers"])
    values["expose_headers"] = _listed(merged["expose_headers"])
    values["max_age"] = _seconds(merged.get("max_age"))
    names_origins = "origins" in options
    if (
        not names_origins
        and merged.get("supports_credentials") is True
        and merged.get("dangerously_allow_any_origin_with_credentials") is not True
    ):
        # The policy would speak of a '*' that nobody has written.
        found.append(
            "origins: none are given, which means '*', and '*' with supports_credentials"
            f" lets any web site act in the name of your visitors; {_WAYS_OUT[for_what]}"
        )
        values["origins"] = _SOMEONE
    try:
        policy = CorsPolicy(**values)
    except CorsConfigError as error:
        problems += [*found, *error.problems]
        return None
    if found:
        problems += found
        return None
    warn_of(policy)
    return Rule(
        policy,
        merged["automatic_options"],
        merged["intercept_exceptions"],
        options.get("allow_private_network"),
        names_origins,
    )


def make_rules(
    options: Mapping[str, Any], *, for_what: str = "application"
) -> list[tuple[Resource, Rule]]:
    """
    Build the rules of an application or a blueprint.

    Args:
        options: The options as they were written, including ``resources``.
        for_what: ``application`` or ``blueprint``.

    Returns:
        A rule for each resource. Its own options take precedence.

    Raises:
        CorsConfigError: Listing every mistake once, with the resource that it is in.
    """
    problems = _unknown(options, FOR_APPS)
    rules = []
    for path, own in _resources(options.get("resources", "/*"), problems):
        found = _unknown(own, FOR_RESOURCES)
        merged = {**options, **own}
        known = {name: merged[name] for name in FOR_RESOURCES if name in merged}
        rule = make_rule(known, found, for_what=for_what)
        try:
            resource = parse_resource(path)
        except UnsafeRegexError as error:
            problems.append(
                f"resources: {path!r} is read as a regular expression, but {error}"
            )
            continue
        except UnmatchableError as error:
            problems.append(f"resources: {path!r} {error}")
            continue
        problems += [
            f"resources[{path!r}]: {problem}" if own else problem for problem in found
        ]
        if rule is not None:
            rules.append((resource, rule))
    if problems:
        raise CorsConfigError(dict.fromkeys(problems))
    return rules


def _resources(option: Any, problems: list[str]) -> list[tuple[_Path, Mapping[str, Any]]]:
    if isinstance(option, str | re.Pattern):
        option = [option]
    if not isinstance(option, Iterable):
        problems.append(f"resources: {option!r} is neither a path nor a list of paths")
        return []
    pairs = (
        option.items() if isinstance(option, Mapping) else [(path, {}) for path in option]
    )
    found: list[tuple[_Path, Mapping[str, Any]]] = []
    for path, own in pairs:
        if not isinstance(path, str | re.Pattern):
            problems.append(
                f"resources: {path!r} is neither a path nor a regular expression"
            )
        elif not isinstance(own, Mapping):
            problems.append(f"resources[{path!r}]: {own!r} is not a dict of options")
        else:
            found.append((path, kept(own)))
    return found


def _unknown(options: Mapping[str, Any], known: tuple[str, ...]) -> list[str]:
    return [unknown_option(name, known) for name in options if name not in known]


def _listed(option: Any, *, change: Callable[[str], str] = str) -> Any:
    """Return names sorted, so that every process sends the same; others as they are."""
    if option is None:
        return ()
    if isinstance(option, str):
        option = [name.strip() for name in option.split(",")]
    if not isinstance(option, Iterable):
        return option
    return sorted(
        (change(name) if isinstance(name, str) else name for name in option), key=str
    )


def _allow_headers(option: Any) -> Any:
    """Return the option with ``Authorization``, which ``"*"`` covers in Flask-CORS."""
    if option is None:
        return ()
    names = [option] if isinstance(option, str | re.Pattern) else option
    if not isinstance(names, Iterable) or "*" not in (names := list(names)):
        return names
    return [*names, "Authorization"]


def _seconds(max_age: Any) -> Any:
    if isinstance(max_age, timedelta):
        return int(max_age.total_seconds())
    if isinstance(max_age, str) and max_age.isascii() and max_age.isdecimal():
        return int(max_age)
    return max_age
