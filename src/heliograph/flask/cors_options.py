"""
The options of :class:`.CORS` and :func:`.cross_origin`, turned into rules.

Their names, forms and defaults are those of Flask-CORS 6.0.5. It ignores unknown options
with a warning; here they are an error.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

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
from .cors_forms import Path, allow_headers, listed, resources, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from ..cors.origin_rules import OriginsOption

__all__ = [
    "CorsOptions",
    "CrossOriginOptions",
    "Rule",
    "check_options",
    "make_rule",
    "make_rules",
]

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
_OF_CONFIG = "or set CORS_ORIGINS in app.config before CORS(app)"
_NAMES = {
    "application": "CORS(app)",
    "blueprint": "CORS(blueprint)",
    "route": "@cross_origin",
}
_WAYS_OUT: Mapping[str, str] = {
    "application": f"write CORS(app, {_WITH}, {_OF_CONFIG}",
    "blueprint": f"write CORS(blueprint, {_WITH}; a blueprint inherits nothing from"
    " CORS(app) or app.config",
    "route": f"write @cross_origin({_WITH}, {_OF_CONFIG}; a"
    " route inherits nothing from CORS(app)",
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
    resources: Path | Iterable[Path] | Mapping[Path, Mapping[str, Any]]


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
    values["methods"] = listed(merged["methods"], change=str.upper)
    values["allow_headers"] = allow_headers(merged["allow_headers"])
    values["expose_headers"] = listed(merged["expose_headers"])
    values["max_age"] = seconds(merged.get("max_age"))
    names_origins = "origins" in options
    if (
        not names_origins
        and merged.get("supports_credentials") is True
        and merged.get("dangerously_allow_any_origin_with_credentials") is not True
    ):
        # The policy would speak of a '*' that nobody has written.
        found.append(
            f"origins: {_NAMES[for_what]} names none, which means '*', and '*' with"
            " supports_credentials lets any web site act in the name of your visitors;"
            f" {_WAYS_OUT[for_what]}"
        )
        values["origins"] = _SOMEONE
    try:
        policy = CorsPolicy(**values)
    except CorsConfigError as error:
        problems += [*found, *error.problems]
        return None
    found += [
        f"origins: the function {function!r} is async, and Flask calls it without an event"
        " loop; write def instead of async def"
        for function in policy.compiled.origins.functions
        if _is_async(function)
    ]
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
    for path, own in resources(options.get("resources", "/*"), problems):
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


def _is_async(function: Any) -> bool:
    # Also an object whose __call__ is async.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        type(function).__call__
    )


def _unknown(options: Mapping[str, Any], known: tuple[str, ...]) -> list[str]:
    return [unknown_option(name, known) for name in options if name not in known]
