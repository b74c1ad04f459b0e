"""
Serialised origins, and the set of origins that a policy allows.

An origin is compared byte for byte as the browser serialises it (WHATWG HTML section
7.1.1, `Origin <https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin>`_;
Fetch, "CORS check"): scheme, host and port, all in lower case, without the scheme's default
port. RFC 6454 section 7 would allow a list of origins; Fetch does not, and no browser sends
one.

The invariant: a regular expression or a function only ever receives text that
:func:`is_origin` accepts. So none of them can be misled by a path, a list, user information
or a line end, and their cost does not depend on the client.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .request import CorsRequest

__all__ = ["DEFAULT_PORTS", "FILES", "Origins", "Rule", "is_origin"]

Rule: TypeAlias = (
    "str | re.Pattern[str] | Callable[[str, CorsRequest], bool | Awaitable[bool]]"
)

# A DNS name has at most 253 characters in this form (RFC 1035 section 2.3.4); no scheme and
# port make an origin longer than this.
MAX_CHARACTERS = 300

# Narrower than the URL standard ("forbidden host code point"), which allows "!" and "'" in
# a host. No name in the DNS has them, and authors of expressions do not expect them:
# "https://a.example!.evil.example" would match r"https://a\.example\W.*".
_HOST = r"(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])"

# Programs choose what is in front of "://" and behind it: "app://." (Electron), "file://"
# (WebViews), "capacitor://localhost". Safari writes the names of extensions in capitals.
_NAME = r"[A-Za-z0-9._~%+-]*"

_ORIGIN = re.compile(
    rf"(?:(https?|wss?|ftp)://{_HOST}|(?!(?:https?|wss?|ftp)://)[a-z][a-z0-9+.-]*://{_NAME})"
    r"(?::([1-9][0-9]{0,4}))?"
)
_MAX_PORT = 65_535

# HTML section 7.1.1 leaves the origin of file: URLs to browsers. Chromium sends "null", or
# this if files may read other files, as in Android's WebView and in Electron.
FILES = "file://"

# URL standard, "special scheme".
DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}


class Origins:
    """
    The origins that a policy allows, prepared for frequent use.

    Args:
        rules: The rules as they were given.
        exact: Allowed origins, compared byte for byte.
        expressions: Expressions one of which must match the whole origin, each with the
            rule as it was written.
        functions: Functions one of which must return :obj:`True`.
        any_origin: Whether ``"*"`` is among the rules.
        null: Whether ``"null"`` is.
    """

    __slots__ = ("any_origin", "exact", "expressions", "functions", "null", "rules")

    def __init__(
        self,
        *,
        rules: tuple[Rule, ...],
        exact: frozenset[str],
        expressions: dict[re.Pattern[str], str],
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
        Return whether an origin is allowed without a function.

        Args:
            origin: A text for which :func:`is_origin` is true.
        """
        if origin in self.exact:
            return True
        # Not any(…): there are mostly no expressions, and a generator takes its time.
        for expression in self.expressions:  # noqa: SIM110 - see above
            if expression.fullmatch(origin):
                return True
        return False

    def ask(self, origin: str, request: CorsRequest) -> bool:
        """
        Return whether a function allows an origin.

        Args:
            origin: A text for which :func:`is_origin` is true.
            request: The request, which the functions receive as well.

        Raises:
            TypeError: A function is async, or returned neither true nor false.
        """
        return any(
            _verdict(function, function(origin, request)) for function in self.functions
        )

    async def ask_async(self, origin: str, request: CorsRequest) -> bool:
        """Return the same, with functions that may be async. Cancelling is safe."""
        for function in self.functions:
            answer = function(origin, request)
            if inspect.isawaitable(answer):
                answer = await answer
            if _verdict(function, answer):
                return True
        return False


def is_origin(text: str) -> bool:
    """
    Return whether a text is an origin as browsers write it, and not ``null``.

    Args:
        text: Any text that a client sent.
    """
    if len(text) > MAX_CHARACTERS:
        return False
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return False
    scheme, port = match.groups()
    return port is None or (int(port) <= _MAX_PORT and DEFAULT_PORTS.get(scheme) != port)


def _verdict(
    function: Callable[..., object],
    answer: bool | Awaitable[bool] | object,  # noqa: FBT001 - the result of a function
) -> bool:
    # Only the two constants: a function that forgets to return, or that returns the tenant
    # it has found, must not decide by accident.
    if answer is True or answer is False:
        return answer
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(f"origins: {function!r} is async, which only ASGI supports")
    raise TypeError(f"origins: {function!r} must return True or False, not {answer!r}")
