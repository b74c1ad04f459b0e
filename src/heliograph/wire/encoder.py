"""
Encode events as ``text/event-stream`` bytes: the server's half of the format.

A block is one event and the blank line that ends it, or comments. Blocks can be joined
in any order, because WHATWG HTML section 9.2.6 resets a client's data and type at each
blank line. Only the last event id and the reconnection time outlive a block.

The encoder has no error path for events: :class:`~heliograph.Event` refuses what the
format cannot carry when it is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidFieldError

if TYPE_CHECKING:
    from ..event import Event

__all__ = ["body_fits", "encode", "encode_body", "encode_comment", "encode_id"]

# Most bytes of UTF-8 for one character, and of what surrounds a body's values: the names of
# its fields, their line ends and the blank line, with a retry of any number of digits that
# an event accepts.
_MOST_UTF8_BYTES = 4
_MOST_FIELD_BYTES = 64
_DATA_FIELD_BYTES = len("data: \n")


def encode(event: Event) -> bytes:
    """
    Encode an event as one ``text/event-stream`` block.

    Follows WHATWG HTML section 9.2.5, `Parsing an event stream
    <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>`_.
    CRLF and CR inside ``data`` reach the client as LF: the format has no way to
    carry them. Everything else survives.

    Args:
        event: The event to encode.

    Returns:
        UTF-8 bytes, ending in exactly one blank line.
    """
    if event.id is None:
        return encode_body(event)
    return encode_id(event.id) + encode_body(event)


def encode_body(event: Event) -> bytes:
    """
    Encode an event without its id.

    The id differs between the streams that carry an event. The rest does not, so it is
    encoded once. :func:`encode_id` encodes the line to put before it: an id takes effect
    at the end of its block (WHATWG HTML section 9.2.6), so it may come before the data.

    Args:
        event: The event to encode; its ``id`` is ignored.

    Returns:
        UTF-8 bytes, ending in exactly one blank line.
    """
    lines = []
    if event.type is not None:
        lines.append(f"event: {event.type}")
    if event.retry_ms is not None:
        lines.append(f"retry: {event.retry_ms}")
    # One line for each line of the data, even if that is empty: clients append an LF after
    # each and remove the last one (section 9.2.6), so "a\n" is "data: a" and "data: ".
    # An event always has a data line, because clients dispatch nothing for a block without
    # one.
    #
    # The space is not decoration. The parser strips one space after the colon, so always
    # writing one protects data that starts with one.
    lines += [f"data: {line}" for line in _lines_of(event.data)]
    return "\n".join([*lines, "", ""]).encode()


def body_fits(event: Event, max_bytes: int) -> bool:
    """
    Return whether the encoded body of an event is at most so long.

    Encodes it only if that is not certain from the number of its characters.

    Args:
        event: The event; its ``id`` is ignored.
        max_bytes: The limit, at least 0.
    """
    data = event.data
    characters = len(data) + len(event.type or "")
    # To look for a character is much faster than to count it.
    lines = 1 + sum(data.count(end) for end in "\r\n" if end in data)
    most = _MOST_UTF8_BYTES * characters + _DATA_FIELD_BYTES * lines + _MOST_FIELD_BYTES
    return most <= max_bytes or len(encode_body(event)) <= max_bytes


def encode_id(id: str) -> bytes:
    """
    Encode the ``id`` line that precedes :func:`encode_body`.

    Followed by an empty line it is a block of its own, which dispatches nothing, and
    clients keep the id (WHATWG HTML section 9.2.6, the steps that dispatch an event). Some
    clients deliver an empty message for it (see :mod:`heliograph.channels.opening`).

    Args:
        id: Text without CR, LF and NUL, as :class:`~heliograph.Event` accepts it. Empty
            to reset the client's last event id.

    Returns:
        UTF-8 bytes, ending in LF.
    """
    return f"id: {id}\n".encode()


def encode_comment(text: str) -> bytes:
    """
    Encode a comment: bytes that keep a connection busy and that clients ignore.

    Follows WHATWG HTML section 9.2.5, where a line that starts with a colon is a comment.

    Args:
        text: Any text; each of its lines becomes a comment line.

    Returns:
        UTF-8 bytes, ending in LF. Comments may precede any line, so this is no block of its
        own: several clients deliver an empty message for a block without data.

    Raises:
        InvalidFieldError: ``text`` is not a str or contains a lone surrogate.
    """
    if not isinstance(text, str):
        raise InvalidFieldError("comment", text, f"must be str, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidFieldError(
            "comment",
            text,
            f"must not contain a lone surrogate (index {error.start}):"
            " UTF-8 cannot encode it",
        ) from error
    lines = [f": {line}" if line else ":" for line in _lines_of(text)]
    return "\n".join([*lines, ""]).encode()


def _lines_of(text: str) -> list[str]:
    # WHATWG HTML section 9.2.5: end-of-line = CRLF / LF / CR, and nothing else.
    # str.splitlines() also splits at U+2028, U+0085, VT and FF, so it would tear one data
    # line into two. A regular expression looks at each character by itself, which takes a
    # millisecond for 64 KB.
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n") if "\n" in text else [str.__str__(text)]
