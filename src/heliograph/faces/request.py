"""
A request for a stream, as values that every framework can provide.

The channels are the ``channel`` fields of the query. They are decoded strictly: bytes that
are not UTF-8 are refused, because a hook of the application may have read them as another
name than we would. An id is decoded as browsers decode it, and an unknown one is a gap.
Fields with other names are the application's, unless they are misspelt
(``field_names.py``).
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from ..channels.names import check_selection
from ..channels.start import RETAINED, Start
from ..errors import InvalidFieldError
from .field_names import CHANNEL, LAST_EVENT_ID, START, TOKEN, check_field_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "DEFAULT_CHANNEL",
    "FIELDS",
    "MAX_QUERY_FIELDS",
    "METHODS",
    "StreamQuery",
    "StreamRequest",
]

DEFAULT_CHANNEL = "sse"
"""The channel of a publish and of a stream that name none, as in Flask-SSE."""

METHODS = ("GET", "HEAD")
"""The methods with which a stream can be requested."""

FIELDS = ("accept", "accept-encoding", "last-event-id")
"""The header fields on which a stream depends, in lower case."""

MAX_QUERY_FIELDS = 1_000
"""
How many fields a query may have.

Servers bound a query by its length only, and 64 KB are 32,000 fields, each of which costs
objects. A stream needs 66; Django's limit for a form is 1,000 as well.
"""

# The longest header that gunicorn accepts, and three times what an id of 64 channels needs.
_MAX_ID_CHARACTERS = 8190

# Queries that are remembered are no longer, and have no field that may be of one client
# alone, such as a token under any name, however it is written.
_MAX_REMEMBERED_BYTES = 512
_OF_MANY = re.compile(
    rb"(?:(?:%b|%b)(?:=[^&]*)?(?:&|\Z))*" % (CHANNEL.encode(), START.encode())
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """
    The values of a request on which the decision depends.

    Args:
        method: The method, in capitals.
        query_string: What follows the ``?`` of the URL, percent-encoded as received.
        headers: Those of :data:`FIELDS` that the request has, and their values as Latin-1
            text (PEP 3333). Of a field that occurs several times, the first; of
            ``accept-encoding`` all, joined with commas.
        address: The client's address as the server reports it; :obj:`None` if it does not.
        arrived_at: When the request arrived: a result of :func:`time.monotonic_ns`.
    """

    method: str
    query_string: bytes
    headers: Mapping[str, str]
    address: str | None
    arrived_at: int

    def last_event_id(self) -> str | None:
        """
        Return the id after which a stream resumes; :obj:`None` if there is none.

        Nothing else of the query is looked at.

        Raises:
            InvalidFieldError: The id, or the number of fields of the query, is not valid.
        """
        return self._last_event_id(_field(_parse(self.query_string), LAST_EVENT_ID))

    def query(self) -> StreamQuery:
        """
        Return what the query and ``Last-Event-ID`` ask for.

        Raises:
            InvalidFieldError: A channel, their number, the id, the start, the name of a
                field, or the number of fields is not valid.
        """
        query_string = self.query_string
        is_short = len(query_string) <= _MAX_REMEMBERED_BYTES
        is_of_many = is_short and _OF_MANY.fullmatch(query_string)
        query = _remembered(query_string) if is_of_many else _query(query_string)
        return StreamQuery(
            channels=query.channels,
            last_event_id=self._last_event_id(query.last_event_id),
            token=query.token,
            start=query.start,
        )

    def _last_event_id(self, field: str | None) -> str | None:
        return _last_event_id(self.headers.get("last-event-id", ""), field or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamQuery:
    """
    What a client asks for.

    Args:
        channels: The channels, sorted, each once; the default one if none was named.
        last_event_id: The id after which the stream resumes; :obj:`None` if there is none.
        token: The token as received, not checked; :obj:`None` if there is none.
        start: Where the stream begins without an id.
    """

    channels: tuple[str, ...]
    last_event_id: str | None
    token: str | None
    start: Start = RETAINED


def _query(query_string: bytes) -> StreamQuery:
    """Return what a query asks for, without ``Last-Event-ID``."""
    fields = _parse(query_string)
    check_field_names(fields)
    start = _field(fields, START)
    return StreamQuery(
        channels=_channels(fields.get(CHANNEL, [])),
        last_event_id=_field(fields, LAST_EVENT_ID),
        token=_field(fields, TOKEN),
        start=RETAINED if start is None else Start.parse(start),
    )


# After a restart thousands of clients come at once, and most ask for the same.
_remembered = functools.lru_cache(maxsize=256)(_query)


def _field(fields: Mapping[str, list[str]], name: str) -> str | None:
    return fields[name][0] if name in fields else None


def _parse(query_string: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(
            query_string.decode(errors="surrogateescape"),
            keep_blank_values=True,
            # What is not UTF-8 becomes lone surrogates, which no channel may contain.
            errors="surrogateescape",
            max_num_fields=MAX_QUERY_FIELDS,
        )
    except ValueError as error:
        raise InvalidFieldError(
            "query", query_string, f"must have at most {MAX_QUERY_FIELDS} fields"
        ) from error


def _channels(names: Sequence[str]) -> tuple[str, ...]:
    if list(names) in ([], [""]):
        names = [DEFAULT_CHANNEL]
    return check_selection(names)


def _last_event_id(header: str, field: str) -> str | None:
    # The header counts first: a browser that reconnects sends it along with the URL that it
    # has, whose query still holds the id with which the page began. WHATWG HTML section
    # 9.2.3 encodes the header as UTF-8; servers hand its bytes on as Latin-1.
    octets = header.encode("latin-1") or field.encode(errors="surrogateescape")
    value = octets.decode(errors="replace")
    if len(value) > _MAX_ID_CHARACTERS:
        raise InvalidFieldError(
            "Last-Event-ID", value, f"must have at most {_MAX_ID_CHARACTERS} characters"
        )
    return value or None
