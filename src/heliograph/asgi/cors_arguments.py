"""
Wrong arguments of ``CORSMiddleware``, and the line to write instead.

Most of them are those of Starlette's middleware, which has the same name and takes its
options directly. All mistakes are reported at once, including those that a policy with the
same options would have.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..cors import CorsPolicy
from ..cors.policy import OPTIONS, unknown_option
from ..documentation import page
from ..errors import CorsConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["checked"]

_Init = TypeVar("_Init", bound=Callable[..., None])

# The policy if none was passed. Not None, which somebody may pass.
_MISSING: Any = object()

# Starlette's option -> ours, where the name differs.
_STARLETTE = {
    "allow_origins": "origins",
    "allow_origin_regex": "origins",
    "allow_methods": "methods",
    "allow_credentials": "supports_credentials",
}

# The line is for copying, but a value of a thousand origins would hide the rest of it.
_SHOWN_CHARACTERS = 2_000


def checked(init: _Init) -> _Init:
    """
    Check the arguments of ``CORSMiddleware``, and report all mistakes in one error.

    For type checkers the signature stays that of two arguments. With ``**options`` in it,
    Starlette's ``add_middleware`` would not take the class.

    Args:
        init: The ``__init__`` that takes the application and the policy.

    Returns:
        A function that raises a :exc:`TypeError` which lists all mistakes.
    """

    @functools.wraps(init)
    def checking(self: Any, app: Any, policy: Any = _MISSING, **options: Any) -> None:
        _check(app, policy, options)
        init(self, app, policy)

    return cast("_Init", checking)


def _check(app: object, policy: object, options: Mapping[str, Any]) -> None:
    is_policy = isinstance(policy, CorsPolicy)
    if is_policy and not options and callable(app) and not _is_flask(app):
        return
    if not callable(app) and callable(policy):
        # The order is wrong. What is to be the policy, or its origins, came first.
        raise TypeError(
            f"app: {_shown(app)} is not an application; the application comes first, then"
            " the policy: CORSMiddleware(app, CorsPolicy(origins=…))"
        )
    problems = [*_wrong_app(app)]
    if not is_policy:
        problems += _wrong_policy(policy, options)
    elif options:
        known = [name for name in options if name in OPTIONS or name in _STARLETTE]
        if known:
            problems.append(
                f"{', '.join(known)}: pass options to CorsPolicy(…), not beside it"
            )
        problems += _meanings(options)
    raise TypeError("\n".join(problems))


def _is_flask(app: object) -> bool:
    # An application of this class can exist only if its module was imported.
    flask = getattr(sys.modules.get("flask"), "Flask", ())
    # Also its wsgi_app, which is a method.
    return isinstance(app, flask) or isinstance(getattr(app, "__self__", None), flask)


def _is_function(policy: object) -> bool:
    return callable(policy) and not isinstance(policy, type) and policy is not _MISSING


def _wrong_app(app: object) -> Iterator[str]:
    if _is_flask(app):
        yield f"app: {_shown(app)} is not an ASGI application; use heliograph.flask.CORS"
    elif not callable(app):
        yield f"app: {_shown(app)} is not an ASGI application"


def _wrong_policy(policy: object, options: Mapping[str, Any]) -> Iterator[str]:
    given = dict(options)
    if isinstance(policy, Mapping):
        given = {**policy, **options}
    elif isinstance(policy, str | Iterable | re.Pattern) or _is_function(policy):
        given = {"origins": policy, **options}
    if policy is not _MISSING:
        yield f"policy: {_shown(policy)} is not a CorsPolicy"
    ours = _as_ours(given)
    ours = {"origins": ["https://app.example"], **ours}
    written = ", ".join(f"{name}={_shown(value)}" for name, value in ours.items())
    yield (
        "CORSMiddleware takes its options in a policy; write"
        f" app.add_middleware(CORSMiddleware, policy=CorsPolicy({written}))"
    )
    yield (
        "an application without add_middleware is wrapped:"
        " app = CORSMiddleware(app, CorsPolicy(…))"
    )
    yield from _meanings(given)
    try:
        CorsPolicy(**ours)
    except CorsConfigError as error:
        # Now, and not when the next attempt fails.
        yield "and in that policy, change:"
        yield from error.problems


def _meanings(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield what each option is called here."""
    for name in options:
        if name == "allow_origin_regex":
            yield "allow_origin_regex is an expression among the origins here"
        elif name in _STARLETTE:
            yield f"{name} is {_STARLETTE[name]} here"
        elif name not in OPTIONS:
            yield unknown_option(name, OPTIONS)
    if not _STARLETTE.keys().isdisjoint(options):
        if options.get("allow_methods") is None:
            yield "methods=['GET'] is Starlette's default; that of CorsPolicy is wider"
        if "*" in _listed(options.get("allow_headers")):
            yield "allow_headers: 'Authorization' is added, which '*' does not cover here"
        else:
            yield (
                "allow_headers: 'Content-Type' is added, which Starlette's middleware"
                " always allows"
            )
        yield f"{page('migrating.md')} lists the differences from Starlette's middleware"


def _as_ours(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a policy with the same meaning."""
    is_starlettes = not _STARLETTE.keys().isdisjoint(options)
    ours: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        if name == "allow_origin_regex":
            ours["origins"] = [*_listed(ours.get("origins", ())), _compiled(value)]
        elif name in {"allow_origins", "origins"}:
            ours["origins"] = [*_listed(value), *_listed(ours.get("origins", ()))]
        elif name == "allow_headers" and is_starlettes:
            ours[name] = _as_headers(_listed(value))
        elif name in _STARLETTE or name in OPTIONS:
            ours[_STARLETTE.get(name, name)] = value
    if is_starlettes:
        # Starlette's defaults, which are narrower than ours.
        ours.setdefault("methods", ["GET"])
        ours.setdefault("allow_headers", ["Content-Type"])
    return ours


def _as_headers(names: list[Any]) -> list[Any]:
    """Return the names of headers with those that Starlette's middleware always allows."""
    # Starlette's "*" covers Authorization; that of Fetch does not. Without "*", Starlette
    # adds the safelisted names. Of these, only Content-Type often needs a preflight.
    implied = "Authorization" if "*" in names else "Content-Type"
    is_named = implied.lower() in (str(name).lower() for name in names)
    return names if is_named else [*names, implied]


def _listed(value: Any) -> list[Any]:
    is_list = isinstance(value, Iterable) and not isinstance(value, str)
    return list(value) if is_list else [value]


def _compiled(expression: object) -> object:
    try:
        return re.compile(expression)  # type: ignore[call-overload]  # callers err
    except (TypeError, re.error):
        return expression


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
