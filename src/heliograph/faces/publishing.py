"""What a developer publishes, as the event and the channels that a hub takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..brokers.values import PLAIN, Terms
from ..channels.names import check_selection
from ..errors import InvalidFieldError
from ..event import check_text, make_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..event import Event

__all__ = ["MAX_KEY_BYTES", "check_key", "dumps_json", "event_for", "terms_for"]

MAX_KEY_BYTES = 255
"""The largest size of a retained event's key, and of an idempotency key."""


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


def terms_for(
    *, retain: bool, key: str | None, idempotency_key: str | None, is_end: bool = False
) -> Terms:
    """
    Return what is to be done with an event beside storing it.

    Args:
        retain: Whether the event is retained.
        key: The key with which it is retained; :obj:`None` for the one without a key.
        idempotency_key: The publisher's own name of this publish, or :obj:`None`.
        is_end: Whether the channel ends with the event.

    Raises:
        InvalidFieldError: An argument is not valid, or ``key`` is given without ``retain``.
    """
    if not isinstance(retain, bool):
        raise InvalidFieldError("retain", retain, "must be True or False")
    if key is not None and not retain:
        raise InvalidFieldError(
            "key",
            key,
            "needs retain=True; to retain the event with this key no longer, call"
            " forget(channel, key=…)",
        )
    if idempotency_key is not None:
        check_key("idempotency_key", idempotency_key)
    if not retain and idempotency_key is None and not is_end:
        return PLAIN
    return Terms(
        retain_as=check_key("key", key) if retain else None,
        idempotency_key=idempotency_key,
        is_end=is_end,
    )


def check_key(field: str, key: object) -> str:
    """
    Return a key as brokers take it: ``""`` for :obj:`None`.

    Args:
        field: The name of the argument.
        key: Any value. A valid key is a str of 1 to 255 bytes of UTF-8.

    Raises:
        InvalidFieldError: The key is not valid.
    """
    if key is None:
        return ""
    check_text(field, key)
    assert isinstance(key, str)  # noqa: S101 - just checked
    if not 0 < len(key.encode()) <= MAX_KEY_BYTES:
        raise InvalidFieldError(
            field, key, f"must have 1 to {MAX_KEY_BYTES} bytes of UTF-8, or be None"
        )
    return key
