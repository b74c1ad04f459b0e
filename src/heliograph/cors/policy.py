"""
A CORS policy: one frozen value, validated whole when it is built.

What is unsafe cannot be built. Nothing is looked up, compiled or decided twice.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple, Never, TypeAlias

from ..errors import CorsConfigError
from .origins import Origins, OriginsOption, Rule, lets_strangers_in, parse_origins
from .regex import Stars, UnsafeRegexError, compile_bounded

__all__ = ["DEFAULT_METHODS", "OPTIONS", "CorsPolicy", "HeadersOption", "unknown_option"]

Fields: TypeAlias = tuple[tuple[str, str], ...]
HeadersOption: TypeAlias = "str | re.Pattern[str] | Iterable[str | re.Pattern[str]]"

DEFAULT_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# RFC 9110 section 5.6.2.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# Tells that a header's name is a regular expression. Some of these are allowed in a token,
# but no header has them. A star alone does not tell: it stands for any characters.
_REGEX = re.compile(r"[\\()\[\]{}^$|?+]|\.\*")

# A name with a star in it, such as "X-Company-*".
_STARRED = re.compile(r"(?=.*\*)(?=.*[^*])[!#%&'*.`~_0-9A-Za-z-]+")

# A century. More is a unit that was mistaken.
_MAX_AGE_SECONDS = 100 * 366 * 86_400

# The only name that "*" does not stand for. Fetch, "CORS non-wildcard request-header name".
NON_WILDCARD: Final = "authorization"

_PREFLIGHT_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

_HATCH = "dangerously_allow_any_origin_with_credentials"


@dataclass(frozen=True, slots=True, init=False)
class CorsPolicy:
    """
    Which pages of other origins may send what, and read the answers.

    Follows the `CORS protocol <https://fetch.spec.whatwg.org/#http-cors-protocol>`_ of the
    Fetch standard.

    Args:
        origins: Who may. One rule or several: an origin as the browser writes it
            (``"https://app.example"``); a pattern in which each star stands for one or more
            characters of one label (``"https://*.app.example"``) or for any port
            (``"http://localhost:*"``); a regular expression, which has to match the whole
            origin; a function of the origin and a :class:`CorsRequest` that returns a
            bool and may be async where the program is; ``"null"``; ``"*"`` for everyone.
        methods: Methods that preflights may ask for, case-sensitively, or ``"*"``.
        allow_headers: Names of headers that preflights may ask for, without regard to
            case, or regular expressions for them, or ``"*"`` for all but
            ``Authorization``, which has to be named.
        expose_headers: Names of headers that the page may read beside those that it always
            may, or ``"*"`` for all.
        supports_credentials: Whether pages may use the visitor's cookies and other
            credentials, and read the answers.
        max_age: Seconds for which a browser may remember a preflight, 0 to forget it at
            once. :obj:`None` leaves it to the browser: five seconds.
        send_wildcard: Whether ``"*"`` is answered with ``*``, so that caches can keep
            one answer for everyone, and not with the origin that asks.
        always_send: Whether the origin, where all get the same answer, is also sent to
            who has not asked, so that caches can keep it.
        vary_header: Whether ``Vary`` tells caches what the answer depends on. Without it
            a cache may give one origin's answer to another, which then cannot read it.
        allow_private_network: Whether preflights that ask for it let pages of the public
            network in: Private Network Access, which browsers have given up.
        dangerously_allow_any_origin_with_credentials: Lets a policy be built in which any
            web site may act and read in the name of a visitor who is logged in.

    Raises:
        CorsConfigError: Listing every option that is unknown, wrong or unsafe.
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
            _HATCH: dangerously_allow_any_origin_with_credentials,
        }
        problems += [
            f"{name}: {value!r} is neither True nor False"
            for name, value in flags.items()
            if not isinstance(value, bool)  # type: ignore[redundant-expr]  # callers err
        ]
        parsed_origins = parse_origins(origins, problems)
        parsed_methods = _parse_methods(methods, problems)
        parsed_headers = _parse_allow_headers(allow_headers, problems)
        exposed = _parse_names("expose_headers", expose_headers, problems)
        _check_max_age(max_age, problems)
        if supports_credentials:
            if not dangerously_allow_any_origin_with_credentials:
                problems += _unsafe_origins(parsed_origins)
            if "*" in exposed:
                problems.append(
                    "expose_headers: with supports_credentials browsers take '*' for a"
                    " name; write the names of the headers"
                )
        if problems:
            raise CorsConfigError(problems)
        values = {
            "origins": parsed_origins.rules,
            "methods": parsed_methods,
            "allow_headers": parsed_headers.rules,
            "expose_headers": exposed,
            "max_age": max_age,
            **flags,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        compiled = Compiled(self, parsed_origins, parsed_headers)
        object.__setattr__(self, "compiled", compiled)


class HeaderRules(NamedTuple):
    """
    What a policy says of the headers that a preflight asks for.

    Attributes:
        rules: As they were given.
        any_name: Whether ``"*"`` is among them.
        names: In lower case.
        patterns: Of which one has to match, in lower case.
        expressions: Of which one has to match the whole name.
    """

    rules: tuple[str | re.Pattern[str], ...]
    any_name: bool
    names: frozenset[str]
    patterns: tuple[Stars, ...]
    expressions: tuple[re.Pattern[str], ...]

    def allow(self, name: str) -> bool:
        """Tell whether a header may be sent, by its name in lower case."""
        return (
            name in self.names
            or (self.any_name and name != NON_WILDCARD)
            or any(pattern.match(name) for pattern in self.patterns)
            or any(expression.fullmatch(name) for expression in self.expressions)
        )


class Compiled:
    """
    A policy made to be asked often: what of an answer does not depend on the request.

    Args:
        policy: Its options are valid.
        origins: Its origins.
        headers: Its ``allow_headers``.

    Attributes:
        origins: As given.
        headers: As given.
        any_method: Whether ``"*"`` is among the methods.
        methods: The others.
        for_all: The ``Access-Control-Allow-Origin`` that every answer may carry.
        vary: The ``Vary`` of an answer that grants nothing.
        granted: What follows the origin in an answer that grants.
        leave: What follows the origin in the answer to a preflight.
        preflight_vary: The ``Vary`` of the answer to a preflight.
    """

    __slots__ = (
        "any_method",
        "for_all",
        "granted",
        "headers",
        "leave",
        "methods",
        "origins",
        "preflight_vary",
        "vary",
    )

    def __init__(self, policy: CorsPolicy, origins: Origins, headers: HeaderRules) -> None:
        self.origins = origins
        self.headers = headers
        self.any_method = "*" in policy.methods
        self.methods = frozenset(policy.methods)
        credentials: Fields = ()
        if policy.supports_credentials:
            credentials = (("Access-Control-Allow-Credentials", "true"),)
        exposed: Fields = ()
        if policy.expose_headers:
            names = ", ".join(policy.expose_headers)
            exposed = (("Access-Control-Expose-Headers", names),)
        self.for_all = _for_all(policy, origins)
        self.vary: Fields = (("Vary", "Origin"),) if policy.vary_header else ()
        # One answer for everyone, or one that a cache may give to others, who cannot read
        # it: nothing to tell a cache.
        vary = () if self.for_all is not None else self.vary
        self.granted: Fields = (*credentials, *exposed, *vary)
        self.leave: Fields = credentials
        if not self.any_method:
            methods = ", ".join(policy.methods)
            self.leave += (("Access-Control-Allow-Methods", methods),)
        if policy.max_age is not None:
            self.leave += (("Access-Control-Max-Age", str(policy.max_age)),)
        self.preflight_vary: Fields = ()
        if policy.vary_header:
            names = _PREFLIGHT_VARY
            if policy.allow_private_network:
                names += ", Access-Control-Request-Private-Network"
            self.preflight_vary = (("Vary", names),)
        self.leave += self.preflight_vary


def unknown_option(name: str, known: Iterable[str]) -> str:
    """
    Say that an option is unknown, and which one may have been meant.

    Args:
        name: As it was written.
        known: Those that there are, at least one.
    """
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    return f"{name} is no option of CORS; did you mean {nearest}?"


def _for_all(policy: CorsPolicy, origins: Origins) -> str | None:
    if origins.any_origin:
        is_static = policy.send_wildcard and not policy.supports_credentials
        return "*" if is_static else None
    if origins.functions or origins.expressions or origins.null or len(origins.exact) > 1:
        return None
    (origin,) = origins.exact
    return origin


def _unsafe_origins(origins: Origins) -> Iterator[str]:
    way_out = (
        "write the origins that you trust, such as 'https://app.example', or a function"
        f" that decides; who really means it sets {_HATCH}=True"
    )
    if origins.any_origin:
        yield (
            "origins: '*' with supports_credentials lets any web site act in the name of"
            f" your visitors, and read what they may read; {way_out}"
        )
    if origins.null:
        yield (
            "origins: 'null' with supports_credentials lets any web site in, through a"
            f" sandboxed frame; {way_out}"
        )
    for expression in origins.expressions:
        if lets_strangers_in(expression):
            yield (
                f"origins: {expression.pattern!r} with supports_credentials lets in web"
                " sites that anybody may set up, since what it ends in is no name of yours"
                r" (write '\.' for a dot, as in 'https://.*\.yours\.example'); or"
                f" {way_out}"
            )


def _parse_methods(option: str | Iterable[str], problems: list[str]) -> tuple[str, ...]:
    methods = _parse_names("methods", option, problems)
    problems += [
        f"methods: {method!r} is compared letter by letter and would never match; write"
        f" {method.upper()!r}"
        for method in methods
        if method != method.upper() and method.upper() in DEFAULT_METHODS
    ]
    return methods


def _parse_allow_headers(option: HeadersOption, problems: list[str]) -> HeaderRules:
    names: list[str] = []
    expressions: list[re.Pattern[str]] = []
    patterns: list[Stars] = []
    rules = _listed("allow_headers", option, problems)
    for rule in rules:
        if isinstance(rule, re.Pattern) or (isinstance(rule, str) and _REGEX.search(rule)):
            try:
                # Names are compared without regard to case, RFC 9110 section 5.1.
                expressions.append(compile_bounded(rule, ignore_case=True))
            except UnsafeRegexError as error:
                problems.append(
                    f"allow_headers: {rule!r} is taken for a regular expression, but"
                    f" {error}"
                )
        elif isinstance(rule, str) and _STARRED.fullmatch(rule):
            patterns.append(Stars(rule.lower()))
        else:
            names += _names("allow_headers", [rule], problems)
    lower = frozenset(name.lower() for name in names) - {"*"}
    return HeaderRules(rules, "*" in names, lower, tuple(patterns), tuple(expressions))


def _parse_names(
    option: str, value: str | Iterable[str], problems: list[str]
) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_names(option, _listed(option, value, problems), problems)))


def _listed(option: str, value: Any, problems: list[str]) -> tuple[Any, ...]:
    if isinstance(value, str | re.Pattern):
        return (value,)
    if not isinstance(value, Iterable) or isinstance(value, bytes):
        problems.append(f"{option}: {value!r} is neither a name nor a list of names")
        return ()
    # A set has no order, and what is sent should not change from one process to another.
    return tuple(sorted(value, key=str) if isinstance(value, AbstractSet) else value)


def _names(option: str, values: Iterable[Any], problems: list[str]) -> Iterator[str]:
    for value in values:
        if not isinstance(value, str):
            problems.append(f"{option}: {value!r} is no string")
        elif value == "*" or (TOKEN.fullmatch(value) and "*" not in value):
            yield value
        else:
            hint = "write a list of names" if "," in value else "write a name, or '*'"
            problems.append(f"{option}: {value!r} is no token (RFC 9110 5.6.2); {hint}")


def _check_max_age(value: object, problems: list[str]) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        problems.append(
            f"max_age: {value!r} is no whole number of seconds; write one, such as 600"
        )
    elif not 0 <= value <= _MAX_AGE_SECONDS:
        problems.append(
            f"max_age: {value!r} is not between 0 and {_MAX_AGE_SECONDS} seconds; write 0"
            " for what a browser is not to remember, None for its own limit"
        )


OPTIONS: Final = tuple(item.name for item in fields(CorsPolicy) if item.name != "compiled")
"""The names of all options."""
