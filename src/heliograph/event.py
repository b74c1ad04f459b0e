"""
One Server-Sent Event, validated when it is built.

Whatever an :class:`Event` holds can be written to a stream, so the encoder has no
error path. A value that the format would tear apart or drop is refused here, never
repaired: a stripped line end would change an id or a type in silence.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from typing import Any

from .errors import InvalidFieldError

__all__ = ["MAX_RETRY_MS", "Event", "check_text", "make_event"]

# WHATWG HTML section 9.2.6 sets no limit, but clients keep the reconnection time in a
# machine integer: Chromium falls back to its default when the digits overflow 64 bits.
MAX_RETRY_MS = 2**63 - 1

_LINE_END = re.compile("[\r\n]")

_PLAIN_TEXT = frozenset({str, type(None)})
_PLAIN_NUMBER = frozenset({int, type(None)})


@dataclass(frozen=True, slots=True)
class Event:
    """
    An event of a stream: its data, type, id, and reconnection time.

    See WHATWG HTML section 9.2, `Server-sent events
    <https://html.spec.whatwg.org/multipage/server-sent-events.html>`_.

    Args:
        data: The payload. Line ends (CRLF, CR, LF) reach the client as LF. ``""`` is
            legal and is dispatched.
        type: The name that ``addEventListener`` listens for. :obj:`None` and ``""``
            reach the client as ``"message"``.
        id: What the client sends as ``Last-Event-ID`` when it reconnects. ``""`` resets
            the client's last event id, :obj:`None` leaves it unchanged.
        retry_ms: Milliseconds that the client waits before it reconnects, 0 to
            2**63 - 1. :obj:`None` leaves the client's value unchanged.

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
        check_text("data", self.data)
        if self.type is not None:
            _check_line("type", self.type)
        if self.id is not None:
            _check_line("id", self.id)
            if "\0" in self.id:
                raise InvalidFieldError(
                    "id", self.id, "must not contain NUL: clients ignore such an id"
                )
        if self.retry_ms is not None:
            _check_retry("retry_ms", self.retry_ms)
        # A member of a str or int enumeration may format itself as another text, for
        # example as its name: store the value that was validated.
        if (
            type(self.data) is not str
            or type(self.type) not in _PLAIN_TEXT
            or type(self.id) not in _PLAIN_TEXT
            or type(self.retry_ms) not in _PLAIN_NUMBER
        ):
            self._make_plain()

    def _make_plain(self) -> None:
        for name in ("data", "type", "id"):
            text = getattr(self, name)
            if text is not None and type(text) is not str:
                object.__setattr__(self, name, str.__str__(text))
        if self.retry_ms is not None and type(self.retry_ms) is not int:
            object.__setattr__(self, "retry_ms", int.__int__(self.retry_ms))


def check_text(field: str, value: object) -> None:
    """
    Check that a value is text that UTF-8 can encode.

    Args:
        field: The name of the field, for the error.
        value: Any value.

    Raises:
        InvalidFieldError: It is no str, or contains a lone surrogate.
    """
    if not isinstance(value, str):
        raise InvalidFieldError(field, value, f"must be str, not {_type_name(value)}")
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidFieldError(
            field,
            value,
            f"must not contain a lone surrogate (index {error.start}):"
            " UTF-8 cannot encode it",
        ) from error


def _check_line(field: str, value: object) -> None:
    check_text(field, value)
    if isinstance(value, str) and _LINE_END.search(value):
        # WHATWG HTML section 9.2.5 ends a field at CR as well as at LF. Text from a user
        # that contains either could forge fields and events.
        raise InvalidFieldError(
            field, value, "must not contain CR or LF: a line end would start a new field"
        )


def _check_retry(field: str, value: object) -> None:
    # bool is a subclass of int, but True is not a number of milliseconds.
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidFieldError(field, value, f"must be int, not {_type_name(value)}")
    if not 0 <= value <= MAX_RETRY_MS:
        # int.__repr__ raises for more than 4,300 digits.
        shown = value if abs(value) <= 2 * MAX_RETRY_MS else "of over 64 bits"
        raise InvalidFieldError(
            field, shown, "must be between 0 and 2**63 - 1 milliseconds"
        )


def _type_name(value: object) -> str:
    return type(value).__name__


def make_event(dumps: Any, data: Any, type_: Any, id_: Any, retry: Any) -> Event:
    """
    Build an event from the arguments of a face's ``publish``.

    Args:
        dumps: Encodes data that is not a str as JSON text.
        data: A str, which is sent as it is; any value that ``dumps`` accepts; or an event,
            which is returned as it is.
        type_: The event's type; :obj:`None` for ``"message"``.
        id_: An id of the publisher's own; an int counts as its decimal digits.
            :obj:`None` if there is none.
        retry: Milliseconds that clients wait before they reconnect; :obj:`None` to leave
            their value unchanged.

    Returns:
        An event that can be sent.

    Raises:
        InvalidFieldError: A field cannot be sent.
    """
    if isinstance(data, Event):
        for field, value in (("type", type_), ("id", id_), ("retry", retry)):
            if value is not None:
                raise InvalidFieldError(field, value, "must be a field of the Event given")
        return data
    if not isinstance(data, str):
        try:
            data = dumps(data)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidFieldError(
                "data",
                data,
                f"must be a str or a value that JSON can encode: {error}; convert it"
                " first, for example to a dict, or configure an encoder"
                " (Flask: app.json; ASGI: EventStreams(dumps=…))",
            ) from error
    if isinstance(id_, int) and not isinstance(id_, bool):
        id_ = str(id_)
    if retry is not None:
        # Under the name of publish's parameter, which Event does not know.
        _check_retry("retry", retry)
    return Event(data, type=type_, id=id_, retry_ms=retry)
