"""Arguments of the verbs, checked: an error names the value, the rule and what to write."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..channels.names import check_channel
from ..errors import InvalidFieldError
from ..event import check_text, make_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..event import Event

__all__ = [
    "MAX_PAGE",
    "check_limit",
    "check_timeout",
    "is_forgetting",
    "last_event",
    "position_given",
]

MAX_PAGE = 10_000
"""The largest number of events in a page of history."""


def is_forgetting(
    data: object,
    *,
    retain: object,
    key: object,
    type: object,
    id: object,
    retry: object,
) -> bool:
    """
    Return whether a publish retains an event no longer, instead of publishing one.

    Args:
        data: :obj:`None` if it does.
        retain: :obj:`False` if it does.
        key: Not :obj:`None` if it does.
        type: Of an event, so not given then.
        id: Likewise not given.
        retry: Likewise not given.

    Raises:
        InvalidFieldError: A field of an event is given, although none is published.
    """
    if data is not None or key is None or retain is not False:
        return False
    for field, value in (("type", type), ("id", id), ("retry", retry)):
        if value is not None:
            raise InvalidFieldError(
                field,
                value,
                "needs data: without data and retain=True the event with the key is"
                " retained no longer, and nothing is published",
            )
    return True


def last_event(
    channel: object,
    data: Any,
    *,
    type: str | None,
    id: str | int | None,
    retain: bool,
    dumps: Callable[[Any], str],
) -> tuple[str, Event | None]:
    """
    Return the channel that is ended, and its last event.

    Args:
        channel: The channel.
        data: The data of the last event; :obj:`None` for an end without one.
        type: The type of the last event.
        id: Its id.
        retain: Whether it is retained.
        dumps: Encodes data that is not a str as JSON.

    Raises:
        InvalidFieldError: A field is not valid, or is that of an event that is not there.
    """
    name = check_channel(channel)
    if data is not None:
        return name, make_event(dumps, data, type, id, None)
    given = {"type": type, "id": id, "retain": retain or None}
    for field, value in given.items():
        if value is not None:
            raise InvalidFieldError(
                field, value, "needs data: the channel ends without a last event"
            )
    return name, None


def position_given(value: object, field: str) -> str | None:
    """
    Return an id as a hub takes it: :obj:`None` for no position.

    Args:
        value: A str, which is not checked further here; or :obj:`None`.
        field: The name of the argument.

    Raises:
        InvalidFieldError: The value is of another type.
    """
    if value is None:
        return None
    check_text(field, value)
    return str(value) or None


def check_limit(value: object) -> int:
    """
    Return the largest number of events in a page.

    Args:
        value: A whole number from 1 to 10,000.

    Raises:
        InvalidFieldError: The value is not valid.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_PAGE:
        raise InvalidFieldError(
            "limit", value, f"must be a whole number from 1 to {MAX_PAGE}"
        )
    return value


def check_timeout(value: object) -> float | None:
    """
    Return how long to wait for an event, in seconds; :obj:`None` for no limit.

    Args:
        value: A number, 0 or more; or :obj:`None`.

    Raises:
        InvalidFieldError: The value is not valid.
    """
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < math.inf:  # type: ignore[operator]
        raise InvalidFieldError(
            "timeout", value, "must be a number of seconds, 0 or more, or None"
        )
    return float(value)  # type: ignore[arg-type]
