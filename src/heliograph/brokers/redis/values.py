"""
The formats of entries and messages in Redis, and reading what others have written there.

An entry is stored and published with a token that no other entry has. The token tells
whether an append was done, and whether the entry at an offset is the one that was seen
there.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, NamedTuple

from ...channels.entry import Entry
from ...channels.position import Position
from ...event import Event
from ..values import PLAIN

if TYPE_CHECKING:
    from ..plain import PlainFormat
    from ..values import Terms
    from .scripts import Reply

__all__ = [
    "DAMAGED",
    "Stored",
    "dump_event",
    "dump_plain",
    "load_event",
    "load_message",
    "load_plain",
    "load_retained",
    "load_row",
    "retained_name",
]

# What reading an entry or a message that somebody else has written may raise.
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)

_TOKEN = re.compile(rb"[0-9A-Za-z_-]+")

_as_json = json.JSONEncoder().encode

_FLASK_SSE_FIELDS = {"data", "type", "id", "retry"}


class Stored(NamedTuple):
    """An entry and its token."""

    entry: Entry
    token: str


def dump_event(event: Event, terms: Terms) -> str:
    """
    Return an event as it is stored.

    Releases that know nothing of terms ignore what is said of them.

    Args:
        event: Any event.
        terms: Whether it is an end, and as what it is retained.
    """
    fields: dict[str, str | int] = _fields(event)
    if len(fields) == 1 and terms is PLAIN:
        # Most events. The encoder writes a text much faster than an object.
        return f'{{"data": {_as_json(event.data)}}}'
    if terms.is_end:
        fields["end"] = True
    if terms.retain_as is not None:
        fields["retained"] = terms.retain_as
    return _as_json(fields)


def retained_name(key: str) -> bytes:
    """
    Return the name of a retained entry in Redis.

    Args:
        key: Under which it is retained.
    """
    return f"@{key}".encode(errors="surrogatepass")


def load_row(channel: str, epoch: str, row: Reply) -> Stored:
    """
    Parse an entry of a stream.

    Args:
        channel: The channel's name.
        epoch: The channel's present life.
        row: The entry's id and its fields, names and values in turn.

    Returns:
        The entry and its token.

    Raises:
        Exception: One of :data:`DAMAGED`.
    """
    number, flat = row
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    offset, _, rest = number.partition(b"-")
    if rest != b"0":
        raise ValueError(f"{_shown(number)} was not written by Heliograph")
    return _load(channel, epoch, offset, fields[b"at"], fields[b"token"], fields[b"event"])


def load_retained(channel: str, epoch: str, row: Reply) -> Entry:
    """
    Parse a retained entry.

    Args:
        channel: The channel's name.
        epoch: The channel's present life.
        row: The entry's offset, and what is stored of it: offset, time, token and event.

    Raises:
        Exception: One of :data:`DAMAGED`.
    """
    offset, stored = row
    own, now, token, event = stored.split(b" ", 3)
    if own != offset:
        raise ValueError(f"{_shown(own)} is not its offset")
    return _load(channel, epoch, offset, now, token, event).entry


def load_event(channel: str, position: Position, at: str, event: bytes) -> Entry:
    """
    Parse an entry of which the position is known.

    Args:
        channel: The channel's name.
        position: Of the entry.
        at: When it was published.
        event: The event as it is stored.

    Raises:
        Exception: One of :data:`DAMAGED`.
    """
    offset = str(position.offset).encode()
    return _load(channel, position.epoch, offset, at.encode(), b"-", event).entry


def load_message(channel: str, data: bytes) -> tuple[Stored, bool]:
    """
    Parse a message that was published with an entry.

    Args:
        channel: The channel's name.
        data: The message.

    Returns:
        The entry and its token; and whether it was also published on the plain channel.

    Raises:
        Exception: One of :data:`DAMAGED`.
    """
    epoch, offset, now, token, twin, event = data.split(b" ", 5)
    stored = _load(channel, epoch.decode(), offset, now, token, event)
    return stored, twin == b"twin"


def _load(  # noqa: PLR0917 - in the order in which they are written
    channel: str, epoch: str, offset: bytes, now: bytes, token: bytes, event: bytes
) -> Stored:
    # From bytes it would find out first whether they are UTF-16.
    fields = json.loads(event.decode())
    published_at = float(now)
    if not math.isfinite(published_at):
        raise ValueError(f"{_shown(now)} is not a finite number of seconds")
    if not _TOKEN.fullmatch(token):
        raise ValueError(
            f"{_shown(token)} is not a token: only letters, digits, - and _ are"
        )
    is_end, key = fields.get("end", False), fields.get("retained")
    if not isinstance(is_end, bool) or not (key is None or isinstance(key, str)):
        raise ValueError('"end" is not true, or "retained" is not a text')
    entry = Entry(
        channel,
        Position.parse(epoch, offset.decode()),
        Event(
            fields["data"],
            type=fields.get("type"),
            id=fields.get("id"),
            retry_ms=fields.get("retry"),
        ),
        published_at,
        is_end,
        key,
    )
    return Stored(entry, token.decode())


def _shown(value: bytes) -> str:
    return repr(value[:80])


def dump_plain(event: Event, plain_format: PlainFormat) -> str:
    """
    Return an event in the format of programs that know nothing of Heliograph.

    Data is a str here: an object that was published has become JSON already. Flask-SSE
    sends a str unchanged, so its clients receive the same.

    Args:
        event: Any event.
        plain_format: The format that those programs read.
    """
    if plain_format == "text":
        return event.data
    return json.dumps(_fields(event), sort_keys=True)


def load_plain(message: bytes, plain_format: PlainFormat) -> Event:
    """
    Parse what programs publish that know nothing of Heliograph.

    Args:
        message: Text; or what Flask-SSE 1.0.0 publishes, JSON with ``data`` and perhaps
            ``type``, ``id`` and ``retry``.
        plain_format: The format of the message.

    Returns:
        The event, without an id: it has no position in its channel.

    Raises:
        Exception: One of :data:`DAMAGED`.
    """
    if plain_format == "text":
        return Event(message.decode())
    fields = json.loads(message, parse_constant=_refuse_constant)
    if not isinstance(fields, dict) or "data" not in fields:
        raise ValueError('is not a JSON object with "data"')
    if unknown := fields.keys() - _FLASK_SSE_FIELDS:
        raise ValueError(f"has unknown fields: {sorted(unknown)}")
    data = fields["data"]
    if not isinstance(data, str):
        data = json.dumps(data, sort_keys=True, allow_nan=False)
    # Flask-SSE leaves out whatever is empty or 0.
    return Event(
        data, type=fields.get("type") or None, retry_ms=fields.get("retry") or None
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _fields(event: Event) -> dict[str, str | int]:
    fields = {
        "data": event.data,
        "type": event.type,
        "id": event.id,
        "retry": event.retry_ms,
    }
    return {name: value for name, value in fields.items() if value is not None}
