"""Who may open a stream, as far as an application has configured it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from ..channels.options import NO_PATTERNS, ChannelPatterns
from ..errors import ConfigError

__all__ = ["Access", "authorizer_problem", "call_problem", "may_listen"]

_LENGTH_ORACLE = (
    "events that share a window show by their compressed size what others contain (a length"
    " oracle); write 'blocks', which compresses each event of such streams alone"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """
    The part of an application's settings that decides who may open a stream.

    Args:
        keys: The keys with which tokens are signed, the newest last. Empty if the
            application signs no tokens; then every token is refused.
        private: Whether a client needs a token or an authorizer's ``True``.
        has_authorizer: Whether the application has an authorizer to ask.
        hook_sees_one_channel: Whether a hook guards the stream that was written for
            requests of one channel, such as those for Flask-SSE, which read the first
            ``channel`` field. Further channels would get past it, so without an authorizer
            they need a token.
        channels: The options of channels.

    Raises:
        ConfigError: Access is guarded and ``channels`` asks for a shared window.
    """

    keys: tuple[str | bytes, ...] = ()
    private: bool = False
    has_authorizer: bool = False
    hook_sees_one_channel: bool = False
    channels: ChannelPatterns = NO_PATTERNS

    def __post_init__(self) -> None:
        # When the value is built, so that no face can forget the check.
        guards = self._guards()
        if guards and self.channels.windows:
            raise ConfigError(
                f"{setting} must not be 'shared-window' {guards[0]}: {_LENGTH_ORACLE}"
                for setting in self.channels.windows
            )

    @property
    def is_guarded(self) -> bool:
        """Whether a stream may be refused to some of those who ask without a token."""
        return bool(self._guards())

    def _guards(self) -> list[str]:
        guards = {
            "where an authorizer guards streams": self.has_authorizer,
            "if private is set": self.private,
            "where a before_request hook guards streams": self.hook_sees_one_channel,
        }
        return [guard for guard, is_there in guards.items() if is_there]


def authorizer_problem(function: object, *arguments: str) -> str | None:
    """
    Return why a value cannot be called as an authorizer; :obj:`None` if it can.

    Args:
        function: What the application has given.
        arguments: The names of the arguments with which it will be called.
    """
    return call_problem(
        function,
        *arguments,
        role="an authorizer",
        example=f"write def may_listen({', '.join(arguments)}): …",
    )


def call_problem(
    function: object, *arguments: object, role: str, example: str
) -> str | None:
    """
    Return why a value cannot be called with some arguments; :obj:`None` if it can.

    Args:
        function: What the application has given.
        arguments: As many as it will be called with.
        role: What the function is for, for the message.
        example: What to write instead, likewise.
    """
    if not callable(function):
        return f"{role} must be a function, not {function!r}; {example}"
    try:
        signature = inspect.signature(function)
    except ValueError:
        return None  # some builtins do not tell what they take
    try:
        signature.bind(*arguments)
    except TypeError as error:
        name = getattr(function, "__qualname__", repr(function))
        return f"{name}{signature} cannot be called as {role}: {error}; {example}"
    return None


def may_listen(verdict: object, *, private: bool) -> bool:
    """
    Return whether an authorizer's verdict lets a client in.

    Args:
        verdict: What the authorizer returned. :obj:`None` lets in unless ``private`` is
            set: ``return user and user.is_admin`` returns it for an anonymous visitor.
        private: Whether the application asked for privacy.

    Raises:
        TypeError: The verdict is not ``True``, ``False`` or :obj:`None`.
    """
    # By identity: 0 equals False but is more likely a mistake than a verdict.
    if not any(verdict is valid for valid in (True, False, None)):
        raise TypeError(
            f"an authorizer returns True, False or None, not {verdict!r}:"
            f" {_remedy(verdict)}"
        )
    return verdict is True or (verdict is None and not private)


def _remedy(verdict: object) -> str:
    if inspect.isawaitable(verdict):
        if inspect.iscoroutine(verdict):
            verdict.close()  # it would be reported once more, as never awaited
        return "declare it with async def, so that its result is awaited"
    return (
        "write return bool(…) if its truth is meant; to refuse with a response of your own,"
        " raise an exception, as abort() does"
    )
