"""The forms in which the options of Flask-CORS may be written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

from ..cors import CorsPolicy
from ..errors import CorsConfigError

__all__ = ["Path", "allow_headers", "kept", "listed", "resources", "seconds"]

Path: TypeAlias = "str | re.Pattern[str]"


def kept(options: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return options that can be read more than once.

    Args:
        options: The options as they were written. Iterators among them become lists.

    Raises:
        CorsConfigError: One of them is a policy.
    """
    policies = [name for name, value in options.items() if isinstance(value, CorsPolicy)]
    if policies:
        raise CorsConfigError(
            f"{name}: in Flask, CORS takes the options themselves, not a CorsPolicy; write"
            " origins=[…], supports_credentials=… and so on"
            for name in policies
        )
    return {
        name: list(value) if isinstance(value, Iterator) else value
        for name, value in options.items()
    }


def resources(option: Any, problems: list[str]) -> list[tuple[Path, Mapping[str, Any]]]:
    """
    Return the paths of the option ``resources``, each with its own options.

    Args:
        option: The option as it was written.
        problems: Receives a sentence for each mistake.
    """
    if isinstance(option, str | bytes | re.Pattern):
        option = [option]
    if not isinstance(option, Iterable):
        problems.append(
            f"resources: {option!r} is neither a path nor a list of paths; write '/*' for"
            " all paths"
        )
        return []
    pairs = [
        *(
            option.items()
            if isinstance(option, Mapping)
            else ((path, {}) for path in option)
        )
    ]
    if not pairs:
        problems.append(
            f"resources: {option!r} covers no path; write '/*' for all paths, or remove"
            " CORS"
        )
    found: list[tuple[Path, Mapping[str, Any]]] = []
    for path, own in pairs:
        if isinstance(path, bytes):
            text = path.decode(errors="replace")
            problems.append(f"resources: {path!r} is bytes; write {text!r}")
        elif not isinstance(path, str | re.Pattern):
            problems.append(
                f"resources: {path!r} is neither a path nor a regular expression; write a"
                " path, such as '/api/*'"
            )
        elif not isinstance(own, Mapping):
            is_origins = isinstance(own, str | re.Pattern | Callable | list | tuple | set)
            instead = {"origins": own} if is_origins and own else {}
            problems.append(
                f"resources[{path!r}]: {own!r} is not a dict of options; write {instead!r}"
            )
        else:
            found.append((path, kept(own)))
    return found


def listed(option: Any, *, change: Callable[[str], str] = str) -> Any:
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


def allow_headers(option: Any) -> Any:
    """Return the option with ``Authorization``, which ``"*"`` covers in Flask-CORS."""
    if option is None:
        return ()
    names = [option] if isinstance(option, str | re.Pattern) else option
    if not isinstance(names, Iterable) or "*" not in (names := list(names)):
        return names
    return [*names, "Authorization"]


def seconds(max_age: Any) -> Any:
    """Return the option as a number if it is a duration or digits; others as they are."""
    if isinstance(max_age, timedelta):
        return int(max_age.total_seconds())
    if isinstance(max_age, str) and max_age.isascii() and max_age.isdecimal():
        return int(max_age)
    return max_age
