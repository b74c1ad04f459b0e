"""Who may open a stream, as far as an application has configured it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Access", "may_listen"]


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
    """

    keys: tuple[str | bytes, ...] = ()
    private: bool = False
    has_authorizer: bool = False
    hook_sees_one_channel: bool = False


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
