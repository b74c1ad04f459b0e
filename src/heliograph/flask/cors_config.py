"""The keys of an application's configuration that :class:`.CORS` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..cors.option_mistakes import unknown_option
from ..cors.policy import OPTIONS
from ..errors import CorsConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = [
    "CONFIG_KEYS",
    "FOR_APPS",
    "FOR_RESOURCES",
    "FOR_ROUTES",
    "named_by_key",
    "options_of_config",
]

FOR_ROUTES = (*OPTIONS, "automatic_options")
FOR_RESOURCES = (*FOR_ROUTES, "intercept_exceptions")
FOR_APPS = (*FOR_RESOURCES, "resources")

_PREFIX = "CORS_"
CONFIG_KEYS = tuple(f"{_PREFIX}{name.upper()}" for name in FOR_APPS)
"""The keys that hold options."""

# Read by an old Flask-CORS only, and still copied from old tutorials.
_DEAD_KEYS = ("CORS_HEADERS",)

# Superset has CORS_OPTIONS, others CORS_ENABLED. A misspelt key would leave every origin
# allowed, so a key is passed over by its name only.
_IGNORED = "CORS_IGNORED_KEYS"


def options_of_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the options of an application's configuration.

    Args:
        config: The configuration. Keys that begin with ``CORS_`` are read, except
            ``CORS_HEADERS``, those that ``CORS_IGNORED_KEYS`` lists, and those whose value
            is :obj:`None`.

    Raises:
        CorsConfigError: Listing every such key that is unknown, and every mistake in
            ``CORS_IGNORED_KEYS``.
    """
    problems: list[str] = []
    ignored = {_IGNORED, *_DEAD_KEYS, *_ignored(config.get(_IGNORED), problems)}
    given = [key for key in config if key.startswith(_PREFIX) and key not in ignored]
    problems += [
        f"{unknown_option(key, CONFIG_KEYS)} If it is a key of another package or of your"
        f" own, list it: {_IGNORED} = [{key!r}]"
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


def named_by_key(problems: Iterable[str], names: Collection[str]) -> list[str]:
    """
    Return messages that name the key instead of the option.

    Args:
        problems: Messages, most of which begin with the option.
        names: The options whose value is that of a key.
    """
    found = []
    for problem in problems:
        name, colon, rest = problem.partition(": ")
        key = f"{_PREFIX}{name.upper()}" if name in names else name
        found.append(f"{key}{colon}{rest}")
    return found


def _ignored(value: Any, problems: list[str]) -> Collection[str]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple | set | frozenset):
        example = value if isinstance(value, str) else "CORS_OPTIONS"
        problems.append(f"{_IGNORED}: {value!r} is not a list of keys; write [{example!r}]")
        return ()
    for key in value:
        if key in CONFIG_KEYS:
            problems.append(
                f"{_IGNORED}: {key!r} is a key that CORS reads; remove it from the list, or"
                " from the configuration if it must not apply"
            )
        elif not (isinstance(key, str) and key.startswith(_PREFIX)):
            problems.append(
                f"{_IGNORED}: {key!r} does not begin with {_PREFIX}, so CORS does not read"
                " it; remove it from the list"
            )
    return [key for key in value if isinstance(key, str)]
