"""
Events to ``text/event-stream`` bytes.

A block is one event or one comment and the blank line that ends it. Blocks can be
joined in any order: none depends on the one before it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import InvalidFieldError

if TYPE_CHECKING:
    from ..event import Event

__all__ = ["encode", "encode_body", "encode_comment", "encode_id"]

# The standard ends lines at CRLF, LF or CR and nowhere else. str.splitlines() also
# splits at U+2028 and friends, so it would tear one data line into two.
_LINE_END = re.compile("\r\n|\n|\r")


def encode(event: Event) -> bytes:
    """
    Encode an event as one ``text/event-stream`` block.

    Follows WHATWG HTML section 9.2.5, `Parsing an event stream
    <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>`_.
    CRLF and CR inside ``data`` reach the client as LF: the format has no way to
    carry them. Everything else survives.

    Args:
        event: Any event.

    Returns:
        UTF-8 bytes, ending in exactly one blank line.
    """
    if event.id is None:
        return encode_body(event)
    return encode_id(event.id) + encode_body(event)


def encode_body(event: Event) -> bytes:
    """
    Encode an event but for its id.

    The id differs between the streams that carry an event; the rest does not, so it
    is encoded once. :func:`encode_id` makes the line that goes in front.

    Args:
        event: Any event; its ``id`` is not looked at.

    Returns:
        UTF-8 bytes, ending in exactly one blank line.
    """
    lines = []
    if event.type is not None:
        lines.append(f"event: {event.type}")
    if event.retry_ms is not None:
        lines.append(f"retry: {event.retry_ms}")
    # The space is not decoration. The parser strips one space after the colon, so
    # always writing one protects data that starts with one.
    lines += [f"data: {line}" for line in _LINE_END.split(event.data)]
    return "\n".join([*lines, "", ""]).encode()


def encode_id(id: str) -> bytes:
    """
    Encode the ``id`` line that goes in front of :func:`encode_body`.

    Args:
        id: An id that :class:`~heliograph.Event` has accepted, or one of our own.

    Returns:
        UTF-8 bytes, ending in LF.
    """
    return f"id: {id}\n".encode()


def encode_comment(text: str) -> bytes:
    """
    Encode a comment: bytes that keep a connection busy and that no client shows.

    Args:
        text: Any text; each of its lines becomes a comment line.

    Returns:
        UTF-8 bytes, ending in exactly one blank line.

    Raises:
        InvalidFieldError: ``text`` is no str or contains a lone surrogate.
    """
    if not isinstance(text, str):
        raise InvalidFieldError("comment", text, f"must be str, not {type(text).__name__}")
    lines = [f": {line}" if line else ":" for line in _LINE_END.split(text)]
    try:
        return "\n".join([*lines, "", ""]).encode()
    except UnicodeEncodeError as error:
        raise InvalidFieldError("comment", text, "lone surrogate, not encodable") from error
