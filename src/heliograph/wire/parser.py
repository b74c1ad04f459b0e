"""
``text/event-stream`` bytes to events: the client's half of the format.

Follows WHATWG HTML section 9.2.6, `Interpreting an event stream
<https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>`_,
to the letter. Lines are decoded one by one: CR and LF cannot be part of a longer UTF-8
sequence, so decoding whole lines gives what decoding the whole stream would.
"""

from __future__ import annotations

from ..errors import EventTooLargeError, InvalidFieldError
from ..event import MAX_RETRY_MS, Event
from .lines import LineSplitter

__all__ = ["EventStreamParser"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DIGITS_OF_MAX_RETRY = len(str(MAX_RETRY_MS))


class EventStreamParser:
    """
    Events from the bytes of a stream, in any chunking.

    An event comes out of the very :meth:`feed` that holds the byte that completes it.
    What remains unfinished when the stream ends is no event: drop the parser.

    Events carry ``type`` (``"message"`` when the stream names none) and, as ``id``,
    the last event id in force. ``retry`` lines set :attr:`reconnection_time_ms`.

    Args:
        last_event_id: The id that the client holds already, as after a reconnect.
        max_event_bytes: Largest line, and largest sum of an event's data lines, in
            bytes. At least 1.

    Attributes:
        last_event_id: What to send as ``Last-Event-ID`` after a reconnect.
        reconnection_time_ms: The last ``retry`` in milliseconds; :obj:`None` before
            there is one. Numbers over 2**63 - 1 count as 2**63 - 1.

    Raises:
        InvalidFieldError: ``max_event_bytes`` is less than 1, or ``last_event_id`` is
            none that a stream can have given.
    """

    __slots__ = (
        "_data",
        "_data_bytes",
        "_error",
        "_id",
        "_lines",
        "_max_event_bytes",
        "_start",
        "_type",
        "last_event_id",
        "reconnection_time_ms",
    )

    def __init__(
        self, *, last_event_id: str = "", max_event_bytes: int = 16 * 1024 * 1024
    ) -> None:
        if max_event_bytes < 1:
            raise InvalidFieldError(
                "max_event_bytes", max_event_bytes, "must be at least 1"
            )
        # An event checks the id that it is given.
        self.last_event_id = Event("", id=last_event_id).id or ""
        self.reconnection_time_ms: int | None = None
        self._max_event_bytes = max_event_bytes
        self._lines = LineSplitter(max_event_bytes)
        # The bytes before we know whether a byte order mark leads; None afterwards.
        self._start: bytes | None = b""
        self._id = last_event_id
        self._type = ""
        self._data: list[str] = []
        self._data_bytes = 0
        self._error: EventTooLargeError | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """
        Give the events that ``chunk`` completes.

        Args:
            chunk: The next bytes of the stream, any number of them.

        Returns:
            Events in the order of the stream, often none.

        Raises:
            EventTooLargeError: A line or an event passed ``max_event_bytes``. Events
                that the chunk completed before that point are returned first, and
                the error is raised by the next call. The parser stays unusable.
        """
        if self._error is not None:
            raise self._error
        events: list[Event] = []
        try:
            for line in self._lines.feed(self._without_byte_order_mark(chunk)):
                if line:
                    self._field(line)
                else:
                    self._dispatch(events)
        except EventTooLargeError as error:
            self._error = error
            if not events:
                raise
        return events

    def _without_byte_order_mark(self, chunk: bytes) -> bytes:
        if self._start is None:
            return chunk
        start = self._start + chunk
        if len(start) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start.removeprefix(_BYTE_ORDER_MARK)

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._append_data(value)
            case b"event":
                self._type = _decode(value)
            case b"id" if b"\0" not in value:
                self._id = _decode(value)
            case b"retry" if value.isdigit():
                self.reconnection_time_ms = _parse_milliseconds(value)
            case _:
                pass  # a comment (its name is empty) or a field we do not know

    def _append_data(self, value: bytes) -> None:
        # The line end between data lines is part of the event.
        self._data_bytes += len(value) + 1
        if self._data_bytes > self._max_event_bytes + 1:
            raise EventTooLargeError(self._max_event_bytes)
        self._data.append(_decode(value))

    def _dispatch(self, events: list[Event]) -> None:
        # Even a block without data makes its id the last event id.
        self.last_event_id = self._id
        if self._data:
            events.append(
                Event(
                    "\n".join(self._data),
                    type=self._type or "message",
                    id=self.last_event_id,
                )
            )
        self._type = ""
        self._data = []
        self._data_bytes = 0


def _decode(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


def _parse_milliseconds(digits: bytes) -> int:
    # int() takes quadratic time, and refuses more than 4300 digits.
    significant = digits.lstrip(b"0")
    if len(significant) > _DIGITS_OF_MAX_RETRY:
        return MAX_RETRY_MS
    return min(int(significant or b"0"), MAX_RETRY_MS)
