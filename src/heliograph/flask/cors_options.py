"""
The options of :class:`.CORS` and :func:`.cross_origin`, turned into a policy.

They are those of Flask-CORS, as they are written there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypedDict

from ..cors import CorsPolicy
from ..cors.names import DEFAULT_METHODS, HeadersOption
from ..cors.policy import OPTIONS, unknown_option
from ..cors.regex import UnsafeRegexError
from ..cors.resources import Resource, parse_resource
from ..errors import CorsConfigError

if TYPE_CHECKING:
    from ..cors.origins import OriginsOption

__all__ = [
    "CONFIG_KEYS",
    "CorsOptions",
    "CrossOriginOptions",
    "Rule",
    "check_options",
    "kept",
    "make_rule",
    "make_rules",
    "options_of_config",
]

_Path: TypeAlias = "str | re.Pattern[str]"

# What Flask-CORS does where nothing is said.
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
_FOR_ROUTES = (*OPTIONS, "automatic_options")
_FOR_RESOURCES = (*_FOR_ROUTES, "intercept_exceptions")
_FOR_APPS = (*_FOR_RESOURCES, "resources")

_PREFIX = "CORS_"
CONFIG_KEYS = tuple(f"{_PREFIX}{name.upper()}" for name in _FOR_APPS)
"""The keys of an application's configuration."""

# Of a Flask-CORS of old, which nobody reads any more, and which is still copied.
_DEAD_KEYS = frozenset({"CORS_HEADERS"})

# Stands for the origins that the configuration may name, while options are checked alone.
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
    """The options of :class:`.CORS`, which has two more."""

    intercept_exceptions: bool
    resources: _Path | Iterable[_Path] | Mapping[_Path, Mapping[str, Any]]


class Rule(NamedTuple):
    """
    What is applied to some requests.

    Attributes:
        policy: Who may do what.
        automatic_options: Whether preflights are answered before the view.
        intercept_exceptions: Whether the answer to an unhandled exception counts.
        private_network: What the option ``allow_private_network`` says; :obj:`None` if
            nobody has written it.
    """

    policy: CorsPolicy
    automatic_options: bool
    intercept_exceptions: bool
    private_network: bool | None


def options_of_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """
    Give the options that an application's configuration has.

    Args:
        config: Keys that begin with ``CORS_`` count, unless their value is :obj:`None`, or
            nobody reads them since years: ``CORS_HEADERS``.

    Raises:
        CorsConfigError: Listing every such key that is unknown.
    """
    given = [key for key in config if key.startswith(_PREFIX) and key not in _DEAD_KEYS]
    problems = [
        f"{unknown_option(key, CONFIG_KEYS)} If it is a key of your own, rename it"
        for key in given
        if key not in CONFIG_KEYS
    ]
    if problems:
        raise CorsConfigError(problems)
    return {
        key.removeprefix(_PREFIX).lower(): config[key]
        for key in given
        if config[key] is not None
    }


def kept(options: Mapping[str, Any]) -> dict[str, Any]:
    """
    Give options that can be read more than once.

    Args:
        options: As they were written, iterators among them.
    """
    return {
        name: list(value) if isinstance(value, Iterator) else value
        for name, value in options.items()
    }


def check_options(options: Mapping[str, Any]) -> None:
    """
    Check the options of a route as far as that is possible without its application.

    Args:
        options: As they were written.

    Raises:
        CorsConfigError: Listing everything that no configuration can put right.
    """
    problems = _unknown(options, _FOR_ROUTES)
    known = {name: options[name] for name in _FOR_ROUTES if name in options}
    make_rule({"origins": _SOMEONE, **known}, problems)
    if problems:
        raise CorsConfigError(problems)


def make_rule(options: Mapping[str, Any], problems: list[str]) -> Rule | None:
    """
    Make a rule of options that are all known.

    Args:
        options: As they were written; what is missing has Flask-CORS's default.
        problems: Gets a sentence for each mistake.

    Returns:
        The rule; :obj:`None` if there are mistakes.
    """
    merged = {**_DEFAULTS, **options}
    found = [
        f"{name}: {merged[name]!r} is neither True nor False"
        for name in _FLAGS
        if not isinstance(merged[name], bool)
    ]
    values = {name: merged[name] for name in OPTIONS if name in merged}
    values["methods"] = _listed(merged["methods"], change=str.upper)
    values["allow_headers"] = _allow_headers(merged["allow_headers"])
    values["expose_headers"] = _listed(merged["expose_headers"])
    values["max_age"] = _seconds(merged.get("max_age"))
    try:
        policy = CorsPolicy(**values)
    except CorsConfigError as error:
        problems += [*found, *error.problems]
        return None
    if found:
        problems += found
        return None
    return Rule(
        policy,
        merged["automatic_options"],
        merged["intercept_exceptions"],
        options.get("allow_private_network"),
    )


def make_rules(options: Mapping[str, Any]) -> list[tuple[Resource, Rule]]:
    """
    Make the rules of an application or a blueprint.

    Args:
        options: As they were written, ``resources`` among them.

    Returns:
        A rule for each resource, whose options take precedence.

    Raises:
        CorsConfigError: Listing every mistake once, with the resource that it is in.
    """
    problems = _unknown(options, _FOR_APPS)
    rules = []
    for path, own in _resources(options.get("resources", "/*"), problems):
        found = _unknown(own, _FOR_RESOURCES)
        merged = {**options, **own}
        known = {name: merged[name] for name in _FOR_RESOURCES if name in merged}
        rule = make_rule(known, found)
        try:
            resource = parse_resource(path)
        except UnsafeRegexError as error:
            problems.append(
                f"resources: {path!r} is taken for a regular expression, but {error}"
            )
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
        problems.append(f"resources: {option!r} is neither a path nor several")
        return []
    pairs = (
        option.items() if isinstance(option, Mapping) else [(path, {}) for path in option]
    )
    found: list[tuple[_Path, Mapping[str, Any]]] = []
    for path, own in pairs:
        if not isinstance(path, str | re.Pattern):
            problems.append(f"resources: {path!r} is no path or regular expression")
        elif not isinstance(own, Mapping):
            problems.append(f"resources[{path!r}]: {own!r} is no dict of options")
        else:
            found.append((path, kept(own)))
    return found


def _unknown(options: Mapping[str, Any], known: tuple[str, ...]) -> list[str]:
    return [unknown_option(name, known) for name in options if name not in known]


def _listed(option: Any, *, change: Callable[[str], str] = str) -> Any:
    """Give a list in an order that does not change, or what is none as it is."""
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
    """Let ``"*"`` stand for all names: with Flask-CORS it covers ``Authorization``."""
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
