"""
One Server-Sent Event, validated when it is built.

Whatever an :class:`Event` holds can be written to a stream, so the encoder has no
error path. What the format would tear apart or drop is refused here, never repaired.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from typing import Any

from .errors import InvalidFieldError

__all__ = ["MAX_RETRY_MS", "Event", "make_event"]

# Clients hold the reconnection time in a machine integer: Chromium falls back to its
# default when the digits overflow 64 bits.
MAX_RETRY_MS = 2**63 - 1

_LINE_END = re.compile("[\r\n]")


@dataclass(frozen=True, slots=True)
class Event:
    """
    An event as WHATWG HTML defines it.

    See section 9.2, `Server-sent events
    <https://html.spec.whatwg.org/multipage/server-sent-events.html>`_.

    Args:
        data: The payload. Line ends (CRLF, CR, LF) reach the client as LF. ``""`` is
            legal and is dispatched.
        type: The name that ``addEventListener`` waits for. :obj:`None` and ``""``
            reach the client as ``"message"``.
        id: What the client sends back as ``Last-Event-ID``. :obj:`None` leaves the
            client's as it is, ``""`` resets it.
        retry_ms: Milliseconds that the client waits before it reconnects, 0 to
            2**63 - 1. :obj:`None` leaves the client's as it is.

    Raises:
        InvalidFieldError: A value is of the wrong type; ``type`` or ``id`` contains
            CR or LF; ``id`` contains NUL; text contains a lone surrogate; or
            ``retry_ms`` is out of range.
    """

    data: str
    _: KW_ONLY
    type: str | None = None
    id: str | None = None
    retry_ms: int | None = None

    def __post_init__(self) -> None:
        _check_text("data", self.data)
        if self.type is not None:
            _check_line("type", self.type)
        if self.id is not None:
            _check_line("id", self.id)
            if "\0" in self.id:
                raise InvalidFieldError(
                    "id", self.id, "clients ignore an id that contains NUL"
                )
        if self.retry_ms is not None:
            _check_retry("retry_ms", self.retry_ms)
        self._make_plain()

    def _make_plain(self) -> None:
        # A member of an enumeration is a str or an int, but formats itself as another
        # text: what was checked is what is kept.
        for name in ("data", "type", "id"):
            text = getattr(self, name)
            if text is not None and type(text) is not str:
                object.__setattr__(self, name, str.__str__(text))
        if self.retry_ms is not None and type(self.retry_ms) is not int:
            object.__setattr__(self, "retry_ms", int.__int__(self.retry_ms))


def _check_text(field: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidFieldError(field, value, f"must be str, not {_type_name(value)}")
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidFieldError(
            field, value, f"lone surrogate at index {error.start}, not encodable"
        ) from error


def _check_line(field: str, value: object) -> None:
    _check_text(field, value)
    if isinstance(value, str) and _LINE_END.search(value):
        raise InvalidFieldError(field, value, "a line end would start a new field")


def _check_retry(field: str, value: object) -> None:
    # bool is a subclass of int, and True is no number of milliseconds.
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidFieldError(field, value, f"must be int, not {_type_name(value)}")
    if not 0 <= value <= MAX_RETRY_MS:
        # The value itself may have more digits than Python is willing to print.
        shown = value if abs(value) <= 2 * MAX_RETRY_MS else "of over 64 bits"
        raise InvalidFieldError(
            field, shown, "must be between 0 and 2**63 - 1 milliseconds"
        )


def _type_name(value: object) -> str:
    return type(value).__name__


def make_event(dumps: Any, data: Any, type_: Any, id_: Any, retry: Any) -> Event:
    """
    Make an event of what a developer gives.

    Args:
        dumps: Turns data that is no str into JSON.
        data: Anything that ``dumps`` takes, or a str.
        type_: The event's type or :obj:`None`.
        id_: The event's id, a str or an int, or :obj:`None`.
        retry: Milliseconds or :obj:`None`.

    Returns:
        The event.

    Raises:
        InvalidFieldError: A field cannot be sent.
    """
    if not isinstance(data, str):
        try:
            data = dumps(data)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidFieldError(
                "data", data, f"neither a str nor something that JSON can say: {error}"
            ) from error
    if isinstance(id_, int) and not isinstance(id_, bool):
        id_ = str(id_)
    if retry is not None:
        # By the name that it has for the developer.
        _check_retry("retry", retry)
    return Event(data, type=type_, id=id_, retry_ms=retry)
