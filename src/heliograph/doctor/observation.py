"""
What was seen of a stream, as values.

Probes fill these in, checks judge them. So a check is a function of values, and its tests
are tables. Times are seconds after the request was sent, unless their names say otherwise.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ..channels.blocks import GAP_EVENT_TYPE
from ..channels.end import END_EVENT_TYPE
from ..channels.opening import OPEN_EVENT_TYPE
from ..channels.position import Positions
from ..errors import InvalidStreamIdError

if TYPE_CHECKING:
    from ..event import Event
    from .target import Address, Target

__all__ = [
    "Arrival",
    "Connected",
    "Exchange",
    "Fault",
    "Observation",
    "Opened",
    "Padding",
    "Publication",
    "Seen",
]


class Fault(NamedTuple):
    """
    Why there is no connection, or no response.

    Args:
        kind: ``dns``, ``refused``, ``unreachable``, ``timeout``, ``certificate``,
            ``plain-port`` (TLS was tried), ``tls-port`` (TLS was not tried), ``tls``,
            ``closed`` (before the response), ``no-http``, ``h2`` (HTTP/2 alone).
        detail: What the operating system, OpenSSL or the parser says.
    """

    kind: str
    detail: str


@dataclass
class Connected:
    """
    A connection, or the attempt.

    Args:
        addresses: Those of the host.
        failed: Addresses that could not be reached before one could, each with the reason.
        peer: The one that was reached.
        alpn: The protocol that the server prefers if it may choose HTTP/2.
        fault: Why there is no connection.
    """

    addresses: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    peer: str = ""
    dns_seconds: float = 0.0
    tcp_seconds: float = 0.0
    tls_seconds: float | None = None
    tls_version: str | None = None
    alpn: str | None = None
    fault: Fault | None = None


class Arrival(NamedTuple):
    """Bytes of a body, decoded, and when they came. A long body is kept in part."""

    seconds: float
    data: bytes


class Seen(NamedTuple):
    """An event, and when it came."""

    seconds: float
    event: Event


class Opened(NamedTuple):
    """The data of an event ``heliograph.open``."""

    id: str
    channels: tuple[str, ...]
    resumed: bool
    heartbeat_seconds: float | None


@dataclass
class Exchange:
    """
    One request and what came of it.

    Args:
        address: Where the request went.
        origin: The value of its header ``Origin``; :obj:`None` for none.
        sent_seconds: When it was sent, by the clock of the probes.
        status: The status; 0 if there is no response.
        headers: The fields of the response in order, names in lower case.
        framing: How the body's end is known: ``chunked``, ``length``, ``close``, ``none``.
        end: How the body ended: ``complete``, ``cut``, or :obj:`None` if it has not.
        retry_ms: The reconnection time that the stream has stated.
        undecodable: Why the bytes are not those that the headers announce.
        oversized: Which event was too large to be read on.
        fault: Why there is no response.
    """

    address: Address
    origin: str | None = None
    connected: Connected = field(default_factory=Connected)
    sent_seconds: float = 0.0
    status: int = 0
    reason: str = ""
    http_version: str = "1.1"
    headers: list[tuple[str, str]] = field(default_factory=list)
    head_seconds: float | None = None
    framing: str = "none"
    arrivals: list[Arrival] = field(default_factory=list)
    events: list[Seen] = field(default_factory=list)
    last_event_id: str = ""
    retry_ms: int | None = None
    end: str | None = None
    end_seconds: float | None = None
    undecodable: str | None = None
    oversized: str | None = None
    fault: Fault | None = None

    def all(self, name: str) -> list[str]:
        """Return the values of a field, one for each line of the head."""
        return [value for found, value in self.headers if found == name]

    def header(self, name: str) -> str | None:
        """Return the values of a field, joined; :obj:`None` if there is none."""
        values = self.all(name)
        return ", ".join(values) if values else None

    @property
    def is_stream(self) -> bool:
        """Whether an ``EventSource`` accepts the response."""
        kind = (self.header("content-type") or "").partition(";")[0].strip().lower()
        return self.status == 200 and kind == "text/event-stream"  # noqa: PLR2004 - OK

    @property
    def is_retry_answer(self) -> bool:
        """Whether the stream only told the client to reconnect, and has ended."""
        return (
            self.is_stream
            and self.end is not None
            and not self.events
            and self.retry_ms is not None
        )

    @property
    def is_deferred(self) -> bool:
        """Whether the server has no room for the stream now."""
        return self.is_retry_answer or self.status in {429, 503}

    @property
    def has_finished(self) -> bool:
        """Whether all channels of the stream have ended, and the client was told."""
        return any(event.type == END_EVENT_TYPE for _, event in self.events)

    @property
    def is_meant_for_tls(self) -> bool:
        """Whether the server says that its port is for HTTPS."""
        words = (b"HTTPS", b"SSL-enabled")
        return (
            self.address.scheme == "http"
            and self.status == 400  # noqa: PLR2004 - Bad Request
            and any(word in self.body for word in words)
        )

    @property
    def body(self) -> bytes:
        """What has arrived of the body."""
        return b"".join(arrival.data for arrival in self.arrivals)

    @property
    def opened(self) -> Opened | None:
        """The first opening; :obj:`None` if the stream is not one of Heliograph."""
        for _, event in self.events:
            if event.type == OPEN_EVENT_TYPE:
                return _opened(event.data)
        return None

    @property
    def gap(self) -> str | None:
        """The data of the first gap event."""
        found = (event.data for _, event in self.events if event.type == GAP_EVENT_TYPE)
        return next(found, None)

    @property
    def epochs(self) -> dict[str, str]:
        """The epoch of each channel in the opening's position."""
        opened = self.opened
        if opened is None:
            return {}
        try:
            positions = Positions.parse(opened.id, opened.channels)
        except InvalidStreamIdError:
            return {}
        return {channel: positions[channel].epoch for channel in opened.channels}

    @property
    def heartbeats(self) -> list[float]:
        """When lines that are comments came, those of the greeting left out."""
        first = self.arrivals[0].seconds if self.arrivals else 0.0
        return [
            arrival.seconds
            for arrival in self.arrivals
            if arrival.seconds - first > _GREETING_SECONDS
            and any(line.startswith(b":") for line in arrival.data.splitlines())
        ]

    @property
    def silence_seconds(self) -> float:
        """The time between the last byte, or the head, and the end."""
        if self.end_seconds is None:
            return 0.0
        last = self.arrivals[-1].seconds if self.arrivals else (self.head_seconds or 0.0)
        return self.end_seconds - last


# A comment that comes later than this after the first byte is no part of the greeting.
_GREETING_SECONDS = 0.25


class Padding(NamedTuple):
    """
    Events that were published until one arrived.

    Args:
        bytes: How much was published until then.
        arrived: Whether anything arrived.
    """

    bytes: int
    arrived: bool


@dataclass
class Publication:
    """
    What became of an event that was published.

    Args:
        channel: The channel to which it was published.
        epoch: The channel's epoch in the storage.
        delays: For each stream that was open: after how many seconds it came, or
            :obj:`None`. The first is that of the page.
        plain_delay: As one of them, of the stream that may not be compressed.
        padding: What followed, if it did not come on any of them.
        failure: Why it could not be published.
    """

    channel: str
    epoch: str | None = None
    delays: tuple[float | None, ...] = ()
    plain_delay: float | None = None
    padding: Padding | None = None
    failure: str | None = None


@dataclass
class Observation:
    """
    All that was seen.

    Args:
        target: What was asked for.
        hops: The responses that redirect, in order.
        main: The stream as a page gets it, or what came instead.
        plain: The same, not compressed.
        copies: Streams that were opened again, with the id of the first.
        by_query: The same, with the id in the query.
        strange: The same, with an id that no stream has sent.
        again: A stream that was opened after the first had ended.
        without_origin: What came without the header ``Origin``, after a 403 with it.
        preflight: The answer to the preflight of a page with ``fetch``.
        publication: What became of an event that was published.
        watched_seconds: How long the first stream was watched.
        forward_proxy: The proxy that programs of this machine are told to use.
        loop: Whether the redirects did not end.
        strange_location: A ``Location`` that leads nowhere.
    """

    target: Target
    main: Exchange
    hops: list[Exchange] = field(default_factory=list)
    plain: Exchange | None = None
    copies: list[Exchange] = field(default_factory=list)
    by_query: Exchange | None = None
    strange: Exchange | None = None
    again: Exchange | None = None
    without_origin: Exchange | None = None
    preflight: Exchange | None = None
    publication: Publication | None = None
    watched_seconds: float = 0.0
    forward_proxy: str | None = None
    loop: bool = False
    strange_location: str | None = None


def _opened(data: str) -> Opened | None:
    try:
        value = json.loads(data)
        heartbeat = value["heartbeat_seconds"]
        seconds = None if heartbeat is None else float(heartbeat)
        channels = tuple(map(str, value["channels"]))
        # What another program sends under this name is not to decide how long to wait.
        if not channels or not (seconds is None or 0 < seconds < math.inf):
            return None
        return Opened(str(value["id"]), channels, value["resumed"] is True, seconds)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None
