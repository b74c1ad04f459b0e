"""
A CORS policy: one frozen value, validated whole when it is built.

A configuration that is unsafe cannot be built. Everything about an answer that does not
depend on the request is computed here, once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final, Never, TypeAlias

from ..errors import CorsConfigError
from .names import (
    DEFAULT_METHODS,
    HeaderRules,
    HeadersOption,
    parse_allow_headers,
    parse_methods,
    parse_names,
)
from .option_mistakes import not_a_flag, unknown_option
from .origin_rules import OriginsOption, parse_origins
from .strangers import HATCH, accidents, unsafe_origins

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

    from .origins import Origins, Rule

__all__ = ["OPTIONS", "Compiled", "CorsPolicy", "Fields", "unknown_option"]

Fields: TypeAlias = tuple[tuple[str, str], ...]

# A century. A larger number was meant in another unit. Browsers cap it anyway.
_MAX_AGE_SECONDS = 100 * 366 * 86_400

# Fetch asks for "Origin" only. The others are what our answer depends on as well: it
# repeats the method and the names of headers that the preflight asks for.
_PREFLIGHT_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


@dataclass(frozen=True, slots=True, init=False)
class CorsPolicy:
    """
    The pages of other origins that may send requests, and what they may read.

    Follows the `CORS protocol <https://fetch.spec.whatwg.org/#http-cors-protocol>`_ of the
    Fetch standard.

    Args:
        origins: The allowed origins. One rule or several: an origin as the browser writes
            it (``"https://app.example"``); a pattern in which each star stands for one or
            more characters of one label (``"https://*.app.example"``) or for any port
            (``"http://localhost:*"``); a regular expression, which must match the whole
            origin; a function of the origin and a :class:`CorsRequest` that returns a
            bool, and may be async under ASGI; ``"null"``; ``"*"`` for every origin.
        methods: The methods that preflights may ask for, case-sensitive, or ``"*"``.
        allow_headers: The names of headers that preflights may ask for, without regard to
            case, or regular expressions for them, or ``"*"`` for all except
            ``Authorization``, which must be named. Those that event streams need
            (``Last-Event-ID``, ``Cache-Control``, ``Accept``) are always allowed.
        expose_headers: The names of headers that the page may read in addition to those
            that it always may, or ``"*"`` for all.
        supports_credentials: Whether pages may use the visitor's cookies and other
            credentials, and read the answers.
        max_age: The number of seconds for which a browser may cache a preflight; 0
            disables caching. :obj:`None` leaves it to the browser: five seconds.
        send_wildcard: Whether ``"*"`` is answered with ``*``, so that caches can keep one
            answer for everyone, instead of the requesting origin.
        always_send: Whether an origin that is the same in all answers is also sent if the
            request has no ``Origin``, so that caches can keep the answer.
        vary_header: Whether ``Vary`` tells caches what the answer depends on. Without it,
            a cache may give one origin's answer to another, which then cannot read it.
        allow_private_network: Whether preflights that ask for it let pages of the public
            network in: Private Network Access, which browsers have given up.
        dangerously_allow_any_origin_with_credentials: Whether a policy may be built that
            lets any web site act and read in the name of a visitor who is logged in.

    Raises:
        CorsConfigError: Listing every option that is unknown, wrong or unsafe.

    Attributes:
        warnings: A sentence for each expression among the origins that also allows origins
            of others, and was probably meant not to. With credentials, such an expression
            is an error instead.
    """

    origins: tuple[Rule, ...]
    methods: tuple[str, ...]
    allow_headers: tuple[str | re.Pattern[str], ...]
    expose_headers: tuple[str, ...]
    supports_credentials: bool
    max_age: int | None
    send_wildcard: bool
    always_send: bool
    vary_header: bool
    allow_private_network: bool
    dangerously_allow_any_origin_with_credentials: bool

    warnings: tuple[str, ...] = field(repr=False, compare=False)
    compiled: Compiled = field(repr=False, compare=False)

    def __init__(
        self,
        *,
        origins: OriginsOption,
        methods: str | Iterable[str] = DEFAULT_METHODS,
        allow_headers: HeadersOption = "*",
        expose_headers: str | Iterable[str] = (),
        supports_credentials: bool = False,
        max_age: int | None = None,
        send_wildcard: bool = True,
        always_send: bool = True,
        vary_header: bool = True,
        allow_private_network: bool = False,
        dangerously_allow_any_origin_with_credentials: bool = False,
        **unknown: Never,
    ) -> None:
        problems = [unknown_option(name, OPTIONS) for name in unknown]
        flags = {
            "supports_credentials": supports_credentials,
            "send_wildcard": send_wildcard,
            "always_send": always_send,
            "vary_header": vary_header,
            "allow_private_network": allow_private_network,
            HATCH: dangerously_allow_any_origin_with_credentials,
        }
        problems += [
            not_a_flag(name, value)
            for name, value in flags.items()
            if not isinstance(value, bool)  # type: ignore[redundant-expr]  # callers err
        ]
        parsed_origins = parse_origins(origins, problems)
        parsed_methods = parse_methods(methods, problems)
        parsed_headers = parse_allow_headers(allow_headers, problems)
        exposed = parse_names("expose_headers", expose_headers, problems)
        _check_max_age(max_age, problems)
        if supports_credentials:
            if not dangerously_allow_any_origin_with_credentials:
                problems += unsafe_origins(parsed_origins)
            if "*" in exposed:
                # Fetch, "CORS protocol and credentials": a wildcard only without them.
                problems.append(
                    "expose_headers: with supports_credentials, browsers read '*' as the"
                    " name of one header; write the names of the headers"
                )
        if problems:
            raise CorsConfigError(problems)
        values = {
            "origins": parsed_origins.rules,
            "methods": parsed_methods,
            "allow_headers": parsed_headers.rules,
            "expose_headers": exposed,
            "max_age": max_age,
            "warnings": tuple(accidents(parsed_origins)),
            **flags,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        compiled = Compiled(self, parsed_origins, parsed_headers)
        object.__setattr__(self, "compiled", compiled)


class Compiled:
    """
    The parts of a policy's answers that do not depend on the request.

    Args:
        policy: A policy whose options are valid.
        origins: Its origins.
        headers: Its ``allow_headers``.

    Attributes:
        origins: As given.
        headers: As given.
        any_method: Whether ``"*"`` is among the methods.
        methods: All methods by name.
        is_open: Whether every origin is allowed, without credentials.
        for_all: The ``Access-Control-Allow-Origin`` that every answer may carry;
            :obj:`None` if it depends on the origin.
        vary: The ``Vary`` of an answer that grants nothing.
        granted: The fields that follow the origin in an answer that grants.
        preflight_fields: The fields that end the answer to a preflight that is granted.
        preflight_vary: The ``Vary`` of the answer to a preflight.
    """

    __slots__ = (
        "any_method",
        "for_all",
        "granted",
        "headers",
        "is_open",
        "methods",
        "origins",
        "preflight_fields",
        "preflight_vary",
        "vary",
    )

    def __init__(self, policy: CorsPolicy, origins: Origins, headers: HeaderRules) -> None:
        self.origins = origins
        self.headers = headers
        self.any_method = "*" in policy.methods
        self.methods = frozenset(policy.methods)
        self.is_open = origins.any_origin and not policy.supports_credentials
        credentials: Fields = ()
        if policy.supports_credentials:
            # Exactly this word, in lower case: Fetch, "CORS check".
            credentials = (("Access-Control-Allow-Credentials", "true"),)
        exposed: Fields = ()
        if policy.expose_headers:
            names = ", ".join(policy.expose_headers)
            exposed = (("Access-Control-Expose-Headers", names),)
        self.for_all = _for_all(policy, origins)
        self.vary: Fields = (("Vary", "Origin"),) if policy.vary_header else ()
        # Fetch, "CORS protocol and HTTP caches": no Vary if the answer is "*" or static.
        # A cache may give a static answer to other origins too; they cannot read it.
        vary = () if self.for_all is not None else self.vary
        self.granted: Fields = (*credentials, *exposed, *vary)
        self.preflight_fields: Fields = credentials
        if not self.any_method:
            methods = ", ".join(policy.methods)
            self.preflight_fields += (("Access-Control-Allow-Methods", methods),)
        if policy.max_age is not None:
            self.preflight_fields += (("Access-Control-Max-Age", str(policy.max_age)),)
        self.preflight_vary: Fields = ()
        if policy.vary_header:
            names = _PREFLIGHT_VARY
            if policy.allow_private_network:
                names += ", Access-Control-Request-Private-Network"
            self.preflight_vary = (("Vary", names),)
        self.preflight_fields += self.preflight_vary


def _for_all(policy: CorsPolicy, origins: Origins) -> str | None:
    if origins.any_origin:
        is_static = policy.send_wildcard and not policy.supports_credentials
        return "*" if is_static else None
    if origins.functions or origins.expressions or origins.null or len(origins.exact) > 1:
        return None
    (origin,) = origins.exact
    return origin


def _check_max_age(value: object, problems: list[str]) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        problems.append(
            f"max_age: {value!r} is not a whole number of seconds; write one, such as 600"
        )
    elif not 0 <= value <= _MAX_AGE_SECONDS:
        problems.append(
            f"max_age: {value!r} is not between 0 and {_MAX_AGE_SECONDS} seconds; write 0"
            " to disable caching, or None for the browser's own limit"
        )


OPTIONS: Final = tuple(
    item.name for item in fields(CorsPolicy) if item.name not in {"warnings", "compiled"}
)
"""The names of all options."""
