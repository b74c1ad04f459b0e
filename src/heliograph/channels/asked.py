"""What a client asks for, by the rules that all faces share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidFieldError
from .names import check_selection

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ARRIVED",
    "DEFAULT_CHANNEL",
    "asked_channels",
    "asked_position",
    "may_listen",
]

ARRIVED = "heliograph.arrived"
"""
The key of a request's environment (WSGI) or scope (ASGI) that says when it arrived.

The value is :func:`time.monotonic_ns`. Middleware that decides who may listen, and that is
further out than what Heliograph can see, sets it before it decides.
"""

DEFAULT_CHANNEL = "sse"
"""The channel of a publish and of a stream that name none, as in Flask-SSE."""

# As long as a header may be with gunicorn, and three times what an id of 64 channels needs.
_MAX_ID_CHARACTERS = 8190


def asked_channels(names: Sequence[str]) -> tuple[str, ...]:
    """
    Give the channels that a query names.

    Args:
        names: The values of ``channel``, in any order.

    Returns:
        The channels, sorted, each once; the default one if there is none.

    Raises:
        InvalidFieldError: One is no name, or there are too many.
    """
    if list(names) in ([], [""]):
        names = [DEFAULT_CHANNEL]
    return check_selection(names)


def asked_position(header: bytes | None, query: str | None) -> str | None:
    """
    Give where a client says that it is. WHATWG HTML section 9.2.4.

    The header counts first: a browser that reconnects sends it along with the URL it has,
    whose query still says where the page began.

    Args:
        header: The bytes of ``Last-Event-ID``, which are UTF-8.
        query: The value of ``lastEventId``.

    Returns:
        The id; :obj:`None` if there is none, or it is empty.

    Raises:
        InvalidFieldError: It has more than 8,190 characters.
    """
    value = (header or b"").decode("utf-8", errors="replace") or query
    if value and len(value) > _MAX_ID_CHARACTERS:
        raise InvalidFieldError(
            "Last-Event-ID", value, f"must have at most {_MAX_ID_CHARACTERS} characters"
        )
    return value or None


def may_listen(verdict: object, *, private: bool) -> bool:
    """
    Say whether an authorizer's answer lets a client in.

    Nothing is no consent where privacy was asked for: ``return user and user.is_admin``
    gives :obj:`None` for nobody.

    Args:
        verdict: What it returned; :obj:`None` if there is none.
        private: Whether privacy was asked for.

    Raises:
        TypeError: It returned something else than ``True``, ``False`` or :obj:`None`.
    """
    # By identity: 0 equals False, and is no answer.
    if not any(verdict is answer for answer in (True, False, None)):
        raise TypeError(f"an authorizer returns True, False or None, not {verdict!r}")
    return verdict is True or (verdict is None and not private)
