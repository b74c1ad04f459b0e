"""Messages about the names of options that do not exist, and about flags."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["not_a_flag", "unknown_option"]

# What the keys of an application's configuration have in front of an option's name.
_OF_KEYS = "CORS_"

# Not documentation.page(): this package does not look at files.
_PAGE = 'see "Options" on the page cors.md of the documentation.'

_EVERYONE = "for True, write {}'*'."
_EXPRESSION = "write an expression among the origins: {}[re.compile(…)]."
_SAME = "write {}… instead."

# What other packages have (Starlette, django-cors-headers, cors of Express), whose names do
# not resemble ours or resemble another option more -> our option, and what to write.
_OF_OTHERS = {
    "allow_all_origins": ("origins", _EVERYONE),
    "origin_allow_all": ("origins", _EVERYONE),
    "allow_origin_regex": ("origins", _EXPRESSION),
    "allowed_origin_regexes": ("origins", _EXPRESSION),
    "origin_regex_whitelist": ("origins", _EXPRESSION),
    "allow_origins": ("origins", _SAME),
    "allowed_origins": ("origins", _SAME),
    "origin_whitelist": ("origins", _SAME),
    "allow_credentials": ("supports_credentials", _SAME),
    "allow_methods": ("methods", _SAME),
    "preflight_max_age": ("max_age", _SAME),
    "urls_regex": ("resources", _SAME),
}

_FALSE = frozenset({"", "0", "f", "false", "n", "no", "none", "off"})
_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})


def unknown_option(name: str, known: Iterable[str]) -> str:
    """
    Return a message that an option is unknown, with what to write, or where to look.

    Args:
        name: The option as it was written.
        known: The options that exist: as fields, or as keys with ``CORS_`` in front.
    """
    # Without what all keys begin with, which would make them look alike.
    keys = {key.removeprefix(_OF_KEYS).lower(): key for key in known}
    plain = name.removeprefix(_OF_KEYS).lower()
    option, form = _OF_OTHERS.get(plain, ("", ""))
    if option in keys:
        key = keys[option]
        # As it is written in a configuration, or in a call.
        hint = form.format(f"{key} = " if key.startswith(_OF_KEYS) else f"{key}=")
    elif nearest := difflib.get_close_matches(plain, keys, n=1):
        hint = f"did you mean {keys[nearest[0]]}?"
    else:
        hint = _PAGE
    return f"{name} is not a CORS option; {hint}"


def not_a_flag(name: str, value: object) -> str:
    """
    Return a message that an option is neither :obj:`True` nor :obj:`False`.

    Args:
        name: The option.
        value: Its value.
    """
    if isinstance(value, str):
        word = value.strip().lower()
        meant = "False" if word in _FALSE else "True" if word in _TRUE else "True or False"
        written = "true or false" if " " in meant else meant.lower()
        return (
            f"{name}: {value!r} is a string; pass the boolean {meant} (in an environment"
            f" variable for from_prefixed_env(), write {written})"
        )
    if isinstance(value, int) and value in {0, 1}:
        return f"{name}: {value!r} is a number; pass the boolean {bool(value)}"
    return f"{name}: {value!r} is neither True nor False; pass one of them"
