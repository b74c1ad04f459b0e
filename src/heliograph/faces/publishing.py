"""What a developer publishes, as the event and the channels that a hub takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..channels.names import check_selection
from ..event import make_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..event import Event

__all__ = ["dumps_json", "event_for"]


def dumps_json(data: Any) -> str:
    """
    Return data as JSON.

    Args:
        data: Anything that JSON can represent.

    Raises:
        TypeError: JSON cannot represent it.
        ValueError: It contains NaN or an infinity, or contains itself. RFC 8259 section 6
            has no such numbers, so ``JSON.parse`` of the browser would throw.
    """
    return json.dumps(data, allow_nan=False)


def event_for(
    channel: object,
    data: Any,
    *,
    type: str | None,
    id: str | int | None,
    retry: int | None,
    dumps: Callable[[Any], str],
) -> tuple[tuple[str, ...], Event]:
    """
    Return the channels and the event of a publish, for the hub's ``publish``.

    Args:
        channel: A channel, or 1 to 64 of them.
        data: A str, or anything that ``dumps`` takes.
        type: The event's type; :obj:`None` for ``"message"``.
        id: The publisher's own id, a str or an int; :obj:`None` for the one that is
            assigned.
        retry: Milliseconds that clients wait before they reconnect; :obj:`None` to leave
            that as it is.
        dumps: Encodes data that is not a str as JSON.

    Raises:
        InvalidFieldError: A field or a channel is not valid.
    """
    event = make_event(dumps, data, type, id, retry)
    return check_selection(channel), event
