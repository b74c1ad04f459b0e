"""What a client asks for, by the rules that all faces share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidFieldError
from .names import check_selection

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DEFAULT_CHANNEL", "asked_channels", "asked_position"]

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
