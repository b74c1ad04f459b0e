"""
What is written into Redis, and what others may have written there.

An entry is stored and published with a token that no other entry has: it tells whether an
append was done, and whether what stands at an offset is what was seen there.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ...channels.entry import Entry
from ...channels.position import Position
from ...event import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..plain import PlainFormat

__all__ = [
    "DAMAGED",
    "Seen",
    "Stored",
    "dump_event",
    "dump_plain",
    "load_message",
    "load_plain",
    "load_row",
]

# What comes of reading an entry or a message that somebody else has written.
DAMAGED = (ValueError, LookupError, TypeError, AttributeError, RecursionError)

_TOKEN = re.compile(rb"[0-9A-Za-z_-]+")

_FLASK_SSE_FIELDS = {"data", "type", "id", "retry"}


class Stored(NamedTuple):
    """An entry and its token."""

    entry: Entry
    token: str


class Seen(NamedTuple):
    """
    The last place that is known in a channel.

    ``token`` and ``at`` are of the entry that stands there, or "".
    """

    position: Position
    token: str
    at: str

    def is_outlived_by(self, stored: Stored) -> bool:
        """
        Say whether an entry at or before this place is another one than what was there.

        Then Redis has gone back in time, and gives places a second time.

        Args:
            stored: The entry.
        """
        entry, token = stored
        try:
            later = entry.published_at > float(self.at)
        except ValueError:
            later = True  # somebody else has written it
        return later or (entry.position == self.position and token != self.token)


def dump_event(event: Event) -> str:
    """
    Give an event as it is stored.

    Args:
        event: Any event.
    """
    return json.dumps(_fields(event))


def load_row(channel: str, epoch: str, row: Sequence[Any]) -> Stored:
    """
    Read an entry of a stream.

    Args:
        channel: Its channel.
        epoch: Of that channel.
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
        raise ValueError(f"{_shown(number)} is not written by Heliograph")
    return _load(channel, epoch, offset, fields[b"at"], fields[b"token"], fields[b"event"])


def load_message(channel: str, data: bytes) -> tuple[Stored, bool]:
    """
    Read a message that was published with an entry.

    Args:
        channel: Its channel.
        data: The message.

    Returns:
        The entry and its token; and whether it comes on the plain channel, too.

    Raises:
        Exception: One of :data:`DAMAGED`.
    """
    epoch, offset, now, token, twin, event = data.split(b" ", 5)
    stored = _load(channel, epoch.decode(), offset, now, token, event)
    return stored, twin == b"twin"


def _load(  # noqa: PLR0917 - in the order in which they are written
    channel: str, epoch: str, offset: bytes, now: bytes, token: bytes, event: bytes
) -> Stored:
    fields = json.loads(event)
    published_at = float(now)
    if not math.isfinite(published_at):
        raise ValueError(f"{_shown(now)} is no time")
    if not _TOKEN.fullmatch(token):
        raise ValueError(f"{_shown(token)} is no token")
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
    )
    return Stored(entry, token.decode())


def _shown(value: bytes) -> str:
    return repr(value[:80])


def dump_plain(event: Event, plain_format: PlainFormat) -> str:
    """
    Give an event as programs read it that know nothing of us.

    Data is a str here: an object that was published has become JSON already. Flask-SSE
    sends a str as it is, so its clients receive the same.

    Args:
        event: Any event.
        plain_format: What they read.
    """
    if plain_format == "text":
        return event.data
    return json.dumps(_fields(event), sort_keys=True)


def load_plain(message: bytes, plain_format: PlainFormat) -> Event:
    """
    Read what programs publish that know nothing of us.

    Args:
        message: Text; or what Flask-SSE 1.0.0 publishes, JSON with ``data`` and perhaps
            ``type``, ``id`` and ``retry``.
        plain_format: Which of the two.

    Returns:
        The event, without an id: it has no place in its channel.

    Raises:
        Exception: One of :data:`DAMAGED`.
    """
    if plain_format == "text":
        return Event(message.decode())
    fields = json.loads(message, parse_constant=_refuse_constant)
    if not isinstance(fields, dict) or "data" not in fields:
        raise ValueError('is no JSON object with "data"')
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
    raise ValueError(f"{name} is no JSON")


def _fields(event: Event) -> dict[str, Any]:
    fields = {
        "data": event.data,
        "type": event.type,
        "id": event.id,
        "retry": event.retry_ms,
    }
    return {name: value for name, value in fields.items() if value is not None}
