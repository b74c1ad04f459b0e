"""
Parse ``text/event-stream`` bytes into events: the client's half of the format.

Follows WHATWG HTML section 9.2.6, `Interpreting an event stream
<https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>`_,
to the letter.

Three buffers of the standard are attributes here: the data buffer is ``_data``, the event
type buffer ``_type``, and the last event ID buffer ``_id``. The last one survives the end
of a block; the other two do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from ..errors import EventTooLargeError, InvalidFieldError
from ..event import MAX_RETRY_MS, Event
from .lines import PARSER_LIMIT, LineSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EventStreamParser", "StreamInterpreter"]

_Value = TypeVar("_Value")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DIGITS_OF_MAX_RETRY = len(str(MAX_RETRY_MS))


class StreamInterpreter(Generic[_Value]):
    """
    Values of any kind from the bytes of a stream: what its parsers share.

    Args:
        make: Called for each event with its data, its type (``"message"`` when the stream
            names none) and the last event id in force; returns the value for it.
        last_event_id: The id that the client already has, as after a reconnect.
        max_event_bytes: Largest line, and largest sum of an event's data lines, in
            bytes. At least 1.

    Attributes:
        last_event_id: What to send as ``Last-Event-ID`` after a reconnect.
        reconnection_time_ms: The last ``retry`` in milliseconds; :obj:`None` before
            the first one. Numbers over 2**63 - 1 count as 2**63 - 1.

    Raises:
        InvalidFieldError: ``max_event_bytes`` is less than 1, or ``last_event_id``
            contains what no stream can send: CR, LF, NUL or a lone surrogate.
    """

    __slots__ = (
        "_data",
        "_data_bytes",
        "_error",
        "_id",
        "_lines",
        "_make",
        "_max_event_bytes",
        "_start",
        "_type",
        "last_event_id",
        "reconnection_time_ms",
    )

    def __init__(
        self,
        make: Callable[[str, str, str], _Value],
        *,
        last_event_id: str = "",
        max_event_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        if max_event_bytes < 1:
            raise InvalidFieldError(
                "max_event_bytes", max_event_bytes, "must be at least 1"
            )
        # Event validates the id, by the rules that apply to one that a stream sends.
        self.last_event_id = Event("", id=last_event_id).id or ""
        self.reconnection_time_ms: int | None = None
        self._make = make
        self._max_event_bytes = max_event_bytes
        self._lines = LineSplitter(max_event_bytes)
        # The first bytes, until they tell whether a byte order mark leads; then None.
        self._start: bytes | None = b""
        self._id = last_event_id
        self._type = ""
        self._data: list[str] = []
        self._data_bytes = 0
        self._error: EventTooLargeError | None = None

    def feed(self, chunk: bytes) -> list[_Value]:
        """
        Return the values of the events that ``chunk`` completes.

        Args:
            chunk: The next bytes of the stream, any number of them.

        Returns:
            Values in the order of the stream, often none.

        Raises:
            EventTooLargeError: A line or an event is larger than ``max_event_bytes``.
                If the chunk completed events before that point, they are returned, and
                the next call raises the error. The parser stays unusable.
        """
        if self._error is not None:
            raise self._error
        if self._start is not None:
            chunk = self._without_byte_order_mark(chunk)
        values: list[_Value] = []
        for line in self._lines.feed(chunk):
            if not line:
                self._dispatch(values)
                continue
            # A line without a colon is a field with an empty value.
            name, _, value = line.partition(":")
            # One space and no more: the rest of the white space is data.
            value = value.removeprefix(" ")
            if name == "data":
                self._append_data(value)
                if self._error is not None:
                    break
            else:
                self._field(name, value)
        else:
            self._error = self._lines.error
        if self._error is not None and not values:
            raise self._error
        return values

    @property
    def error(self) -> EventTooLargeError | None:
        """What the next call of :meth:`feed` raises; :obj:`None` for nothing."""
        return self._error

    def _without_byte_order_mark(self, chunk: bytes) -> bytes:
        # Section 9.2.6: the UTF-8 decode algorithm strips one leading mark, if any. A
        # second one is part of the first field's name, which is unknown then.
        start = (self._start or b"") + chunk
        if len(start) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start.removeprefix(_BYTE_ORDER_MARK)

    def _field(self, name: str, value: str) -> None:
        if name == "id":
            # An id that contains NUL is ignored.
            if "\0" not in value:
                self._id = value
        elif name == "event":
            self._type = value
        # A retry that is not all ASCII digits is ignored: not even a sign is allowed, and
        # str.isdigit() alone would accept Arabic ones.
        elif name == "retry" and value.isascii() and value.isdigit():
            self.reconnection_time_ms = _parse_milliseconds(value)
        # Else it is a comment (its name is empty), or an unknown field.

    def _append_data(self, value: str) -> None:
        self._data.append(value)
        # The line end between data lines is part of the event. The standard appends an LF
        # to each line and removes the last one, hence the "+ 1" of the limit. A character
        # has up to four bytes: they are counted only if there may be too many.
        self._data_bytes += (len(value) if value.isascii() else 4 * len(value)) + 1
        if self._data_bytes > self._max_event_bytes + 1:
            self._data_bytes = sum(len(line.encode()) + 1 for line in self._data)
            if self._data_bytes > self._max_event_bytes + 1:
                # Without the line end after the last line, which is no part of the event.
                self._error = EventTooLargeError(
                    self._data_bytes - 1, self._max_event_bytes, PARSER_LIMIT
                )

    def _dispatch(self, values: list[_Value]) -> None:
        # A block without data dispatches nothing, but its id becomes the last event id:
        # the standard sets that first. Our streams begin with such a block, and Chromium
        # 156 was seen to resume from it.
        self.last_event_id = self._id
        if self._data:
            data = self._data[0] if len(self._data) == 1 else "\n".join(self._data)
            values.append(self._make(data, self._type or "message", self._id))
            self._data = []
            self._data_bytes = 0
        # The id stays: it holds for all later blocks until another one is sent.
        self._type = ""


class EventStreamParser(StreamInterpreter[Event]):
    """
    Events from the bytes of a stream, in any chunking.

    :meth:`feed` returns an event as soon as it gets the byte that completes it. When the
    stream ends, drop the parser: an unfinished block is not an event (WHATWG HTML section
    9.2.6: "any pending data must be discarded").

    Events carry ``type`` (``"message"`` when the stream names none) and, as ``id``,
    the last event id in force. ``retry`` lines set :attr:`reconnection_time_ms`.

    Args:
        last_event_id: The id that the client already has, as after a reconnect.
        max_event_bytes: Largest line, and largest sum of an event's data lines, in
            bytes. At least 1.

    Attributes:
        last_event_id: What to send as ``Last-Event-ID`` after a reconnect.
        reconnection_time_ms: The last ``retry`` in milliseconds; :obj:`None` before
            the first one. Numbers over 2**63 - 1 count as 2**63 - 1.

    Raises:
        InvalidFieldError: ``max_event_bytes`` is less than 1, or ``last_event_id``
            contains what no stream can send: CR, LF, NUL or a lone surrogate.
    """

    __slots__ = ()

    def __init__(
        self, *, last_event_id: str = "", max_event_bytes: int = 16 * 1024 * 1024
    ) -> None:
        super().__init__(
            _event, last_event_id=last_event_id, max_event_bytes=max_event_bytes
        )


def _event(data: str, type: str, id: str) -> Event:
    return Event(data, type=type, id=id)


def _parse_milliseconds(digits: str) -> int:
    # The standard sets no limit. int() takes quadratic time for many digits, and refuses
    # more than 4,300 of them.
    significant = digits.lstrip("0")
    if len(significant) > _DIGITS_OF_MAX_RETRY:
        return MAX_RETRY_MS
    return min(int(significant or "0"), MAX_RETRY_MS)
