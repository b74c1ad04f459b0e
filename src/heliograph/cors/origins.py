"""
Serialised origins, and what a policy may say of them.

An origin is compared byte for byte as the browser serialises it (WHATWG HTML section
7.1.1, `Origin <https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin>`_):
scheme, host and port, all in lower case, without the port that the scheme implies.

The invariant: a regular expression or a function is only ever shown text that
:func:`is_origin` accepts. So none of them can be fooled by a path, a list, user
information or a line end, and what they cost does not depend on the client.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, TypeAlias

from .regex import UnsafeRegexError, compile_bounded, host_endings, literal_beginning

if TYPE_CHECKING:
    from .request import CorsRequest

__all__ = ["Origins", "OriginsOption", "Rule", "is_origin", "parse_origins"]

Rule: TypeAlias = (
    "str | re.Pattern[str] | Callable[[str, CorsRequest], bool | Awaitable[bool]]"
)
OriginsOption: TypeAlias = "Rule | Iterable[Rule]"

# A DNS name has at most 253 characters; no scheme and port make it longer than this.
MAX_CHARACTERS = 300

# Narrower than the URL standard, which lets "!" and "'" into a host. No name in the DNS
# has them, and the regular expressions of policies do not reckon with them.
_HOST = r"(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])"
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://({_HOST})(?::([1-9][0-9]{{0,4}}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}
_MAX_PORT = 65_535

# What people write when they mean an origin.
_NEARLY = re.compile(
    r"(?:([a-z][a-z0-9+.-]*):/+)?(?:[^/@\s]*@)?(\[[0-9a-f:.]+\]|[a-z0-9._*-]+)"
    r"(?::([0-9]+|\*))?(?:[/?#].*)?",
    re.IGNORECASE,
)

# A star stands for part of one label, so it never crosses a dot.
_STAR = "[a-z0-9_-]+"
_PATTERN = re.compile(
    r"([a-z][a-z0-9+.-]*)://((?:[a-z0-9_*-]+\.)*[a-z0-9_*-]+|\[[0-9a-f:.]+\])"
    r"(?::([1-9][0-9]{0,4}|\*))?"
)
_ANY_PORT = "(?::[0-9]+)?"

# Names below which nobody else can have a name: no registry gives them out (RFC 6761,
# RFC 8375, ICANN's decision on .internal).
_PRIVATE = frozenset(
    {"example", "home", "internal", "invalid", "lan", "local", "localhost", "test"}
)

# A list that somebody has forgotten to read: it would pass for a set of characters.
_JSON = re.compile(r"""\s*[\[{]\s*["'].*""")

_ADDRESS = re.compile(r"//\[[0-9a-f:.]+\]")

# What is in no origin, and tells that a text is a regular expression. A star alone does
# not: it is a pattern.
_REGEX = re.compile(r"[\\()\[\]{}^$|?+]|\.\*")


class Origins:
    """
    What a policy says of origins, made to be asked often.

    Args:
        rules: As they were given.
        exact: Origins, letter by letter.
        expressions: Of which one has to match the whole origin.
        functions: Of which one has to return true.
        any_origin: Whether ``"*"`` is among them.
        null: Whether ``"null"`` is.
    """

    __slots__ = ("any_origin", "exact", "expressions", "functions", "null", "rules")

    def __init__(
        self,
        *,
        rules: tuple[Rule, ...],
        exact: frozenset[str],
        expressions: tuple[re.Pattern[str], ...],
        functions: tuple[Callable[[str, CorsRequest], bool | Awaitable[bool]], ...],
        any_origin: bool,
        null: bool,
    ) -> None:
        self.rules = rules
        self.exact = exact
        self.expressions = expressions
        self.functions = functions
        self.any_origin = any_origin
        self.null = null

    def matches(self, origin: str) -> bool:
        """
        Tell whether an origin is allowed without asking a function.

        Args:
            origin: A serialised origin that is not ``"null"``: :func:`is_origin` holds.
        """
        return origin in self.exact or any(
            expression.fullmatch(origin) for expression in self.expressions
        )

    def ask(self, origin: str, request: CorsRequest) -> bool:
        """
        Ask the functions.

        Args:
            origin: As for :meth:`matches`.
            request: What else they may look at.

        Returns:
            Whether one of them allows it.

        Raises:
            TypeError: One of them is async, or returned neither true nor false.
        """
        return any(
            _verdict(function, function(origin, request)) for function in self.functions
        )

    async def ask_async(self, origin: str, request: CorsRequest) -> bool:
        """Do the same, with functions that may be async. Cancelling leaves nothing."""
        for function in self.functions:
            answer = function(origin, request)
            if inspect.isawaitable(answer):
                answer = await answer
            if _verdict(function, answer):
                return True
        return False


def is_origin(text: str) -> bool:
    """
    Tell whether a text is an origin as browsers write it, and not ``null``.

    Args:
        text: Anything a client sent.
    """
    if len(text) > MAX_CHARACTERS:
        return False
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return False
    scheme, _, port = match.groups()
    return port is None or (int(port) <= _MAX_PORT and _DEFAULT_PORTS.get(scheme) != port)


def parse_origins(option: OriginsOption, problems: list[str]) -> Origins:
    """
    Read the option ``origins``.

    Args:
        option: One rule or several.
        problems: Gets a sentence for each rule that is none.

    Returns:
        What could be read.
    """
    if isinstance(option, str | re.Pattern) or callable(option):
        option = (option,)
    elif isinstance(option, bytes) or not isinstance(option, Iterable):  # type: ignore[redundant-expr]  # callers err
        problems.append(f"origins: {option!r} is neither an origin nor a list of them")
        option = ()
    # A set has no order, and two policies that say the same should look the same.
    rules = tuple(sorted(option, key=repr) if isinstance(option, AbstractSet) else option)
    if not rules and not problems:
        problems.append(
            "origins: there is none; write the origins that may read the answers, such as"
            " 'https://app.example'"
        )
    exact: list[str] = []
    expressions: list[re.Pattern[str]] = []
    functions: list[Callable[[str, CorsRequest], bool | Awaitable[bool]]] = []
    for rule in rules:
        try:
            if isinstance(rule, re.Pattern):
                expressions.append(compile_bounded(rule, ignore_case=False))
            elif callable(rule):
                functions.append(rule)
            elif not isinstance(rule, str):
                problems.append(
                    f"origins: {rule!r} is no string, regular expression or function"
                )
            elif rule in {"*", ".*", "null"} or is_origin(rule):
                exact.append(rule)
            else:
                expressions.append(_expression(rule))
        except ValueError as error:
            problems.append(f"origins: {_shown(rule)} {error}")
    return Origins(
        rules=rules,
        exact=frozenset(exact) - {"*", ".*", "null"},
        expressions=tuple(expressions),
        functions=tuple(functions),
        any_origin=not {"*", ".*"}.isdisjoint(exact),
        null="null" in exact,
    )


def lets_strangers_in(expression: re.Pattern[str]) -> bool:
    r"""
    Tell whether an expression lets in web sites that anybody may set up.

    It does not if every host that it matches ends in two labels that are written out:
    ``https://app.example.*`` matches ``https://app.example.evil.example``, and
    ``https://.*app\.example`` matches ``https://evilapp.example``. Origins of browser
    extensions have random names that only an expression can name.
    """
    scheme, ends, _ = literal_beginning(expression).lower().partition("://")
    if ends and scheme not in {"http", "https"}:
        return False
    found = host_endings(expression)
    # What is whole has a scheme, or the colon that was taken for a port's was the scheme's.
    return found is None or not all(
        (is_whole and "://" in text) or _is_somebodys(text.partition(".")[2])
        for text, is_whole in found
    )


def _is_somebodys(name: str) -> bool:
    """Tell whether nobody else can have a name that ends in a dot and this."""
    *above, last = name.split(".")
    return bool(last) and (bool(above) or last in _PRIVATE)


def _expression(rule: str) -> re.Pattern[str]:
    match = _PATTERN.fullmatch(rule)
    if match is not None and "*" in rule and match[1] != "file":
        return _pattern(rule, *match.groups())
    if _JSON.fullmatch(rule):
        raise ValueError("looks like a list that was not read; write json.loads(…)")
    if not _REGEX.search(_ADDRESS.sub("//", rule)) or rule.startswith("file:"):
        raise ValueError(_what_is_wrong(rule))
    try:
        # Only lower case is ever shown to it: ignoring case is Flask-CORS's promise.
        return compile_bounded(rule, ignore_case=True)
    except UnsafeRegexError as error:
        raise ValueError(f"is taken for a regular expression, but {error}") from error


def _pattern(rule: str, scheme: str, host: str, port: str | None) -> re.Pattern[str]:
    if port is not None and _DEFAULT_PORTS.get(scheme) == port:
        raise ValueError(
            "is not what a browser sends, and so would never match; write"
            f" {rule.rpartition(':')[0]!r}"
        )
    *_, parent, name = ["", *host.split(".")]
    if "*" not in host:
        return re.compile(re.escape(f"{scheme}://{host}") + _ANY_PORT)
    if "*" in name or ("*" in parent and name not in _PRIVATE):
        raise ValueError(
            "lets in names that anybody may have; let it end in a name of yours, such as"
            f" '{scheme}://*.yours.example', and write ':*' for any port"
        )
    if any(label.count("*") > 1 for label in host.split(".")):
        raise ValueError(
            "has two stars in one part of the name; each stands for one part, which has"
            " no dot: write one, or a regular expression"
        )
    text = re.escape(f"{scheme}://{host}").replace(r"\*", _STAR)
    if port is not None:
        text += _ANY_PORT if port == "*" else f":{port}"
    return re.compile(text)


def _what_is_wrong(rule: str) -> str:
    """Say what keeps a text from being an origin, and what to write instead."""
    match = _NEARLY.fullmatch(rule.strip())
    if rule.lower().startswith("file:"):
        return "is no origin; pages that are opened from files have the origin 'null'"
    if match is None:
        if "," in rule or " " in rule.strip():
            return "is no origin; write several as a list, each as a string of its own"
        if not rule.isascii():
            return "is not ASCII; write the name as browsers send it, as 'https://xn--…'"
        return "is no origin; write scheme, host and port, such as 'https://app.example'"
    scheme, host, port = match.groups()
    origin = f"{scheme or 'https'}://{host}".lower()
    if port is not None and _DEFAULT_PORTS.get((scheme or "https").lower()) != port:
        origin += f":{port}"
    if not _can_be_written(origin):
        return "is no origin; write scheme, host and port, such as 'https://app.example'"
    if scheme is None:
        return f"has no scheme; write {origin!r}"
    return f"is not what a browser sends, and so would never match; write {origin!r}"


def _can_be_written(rule: str) -> bool:
    if is_origin(rule):
        return True
    match = _PATTERN.fullmatch(rule)
    if match is None or "*" not in rule:
        return False
    try:
        _pattern(rule, *match.groups())
    except ValueError:
        return False
    return True


def _verdict(
    function: Callable[..., object],
    answer: bool | Awaitable[bool] | object,  # noqa: FBT001 - it is what a function said
) -> bool:
    # By identity: a function that forgets to return, or gives the tenant that it found,
    # must not decide by accident.
    if answer is True or answer is False:
        return answer
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(f"origins: {function!r} is async; this program is not")
    raise TypeError(f"origins: {function!r} returns True or False, not {answer!r}")


def _shown(rule: object) -> str:
    return repr(rule.pattern if isinstance(rule, re.Pattern) else rule)
