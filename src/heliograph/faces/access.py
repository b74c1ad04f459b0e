"""Who may open a stream, as far as an application has configured it."""

from __future__ import annotations

from dataclasses import dataclass

from ..channels.options import NO_PATTERNS, ChannelPatterns
from ..errors import ConfigError

__all__ = ["Access", "may_listen"]

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
        raise TypeError(f"an authorizer returns True, False or None, not {verdict!r}")
    return verdict is True or (verdict is None and not private)
