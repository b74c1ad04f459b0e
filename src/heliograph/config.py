"""
The limits and timings of a hub: one frozen value, validated as a whole.

Every face reads the same fields. The keys of the Flask extension are their names in
capitals, after ``SSE_``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .channels.options import (
    NO_PATTERNS,
    RULES,
    ChannelOptions,
    ChannelPatterns,
    Compression,
    lifetime_problem,
    pattern_problems,
)
from .errors import ConfigError
from .rules import DAY, Number, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .rules import Rule

__all__ = ["HubConfig"]

_DEFAULTS = ChannelOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class HubConfig:
    """
    Limits and timings of a hub.

    Args:
        history_events: Events that the broker keeps per channel, for clients that
            reconnect. At least 1.
        history_seconds: Seconds that the broker keeps an event. Above 0.
        forget_seconds: Seconds after which a channel is forgotten that has ended, or that
            nobody has published or listened to. Storage then holds nothing of it: no
            history, no retained events, no end. At least ``history_seconds``.
        retained_keys: Largest number of events that a channel retains, one for each key. At
            least 1.
        log_events: Events per channel that each process holds in memory, so that most
            reconnects need no storage. At least 1.
        log_bytes: Bytes of encoded events per channel that each process holds in memory;
            the smaller of the two limits counts. At least 1.
        heartbeat_seconds: Seconds of silence after which a comment is sent, so that
            proxies keep the connection. Keep it below the proxy's idle timeout
            (nginx: 60). Above 0. :obj:`None` disables heartbeats.
        retry_ms: Milliseconds that a client waits before it reconnects. Each client
            gets a random value between half and one and a half of this, so that clients
            do not all reconnect at the same moment after a restart. 0 to 3,600,000.
        max_event_bytes: Largest encoded event in bytes. At least 64, at most
            ``max_lag_bytes``.
        max_lag_bytes: Bytes that a client may be behind before it is disconnected. It
            reconnects with ``Last-Event-ID`` and what it missed is replayed. At least 1.
        max_lag_total_bytes: Bytes that a process holds for all clients that are behind:
            events that are not yet sent to all, each counted once, and bytes that are
            written and not yet taken. Beyond it the clients that are farthest behind are
            disconnected. Checked once a second. At least ``max_lag_bytes``.
        max_subscribers: Streams per process; fewer if the process may not open enough
            files. At least 1.
        max_subscribers_per_channel: Streams per channel and process. At least 1.
        max_subscribers_per_address: Streams per client address and process, if the server
            reports the address; per /64 in IPv6. At least 1. :obj:`None` sets no limit.
        max_channels: Channels that a process listens to, including those that it still
            listens to for ``linger_seconds`` and those that wait for storage. At least 1.
        max_channels_per_address: Sum of the channels of all streams of a client address,
            if the server reports it; per /64 in IPv6. A channel of two streams counts
            twice. At least 1. :obj:`None` sets no limit.
        max_stream_seconds: Seconds after which a stream is ended, so that its client
            reconnects and is authorised again, perhaps by another process. Each stream
            gets a random value between half of this and all of it. Above 0. :obj:`None`
            sets no limit.
        retry_after_seconds: The ``Retry-After`` header, in seconds, of the 503 or 429 that
            refuses a stream over a cap. 0 to 86,400. A client that asks for
            ``text/event-stream`` gets a stream instead that ends at once and tells it when
            to reconnect: after between half and one and a half of this, or of 2 seconds
            if this is less.
        refuse_with_status: Whether such a client gets the status as well. The
            ``EventSource`` of a browser does not reconnect then.
        linger_seconds: Seconds that a process still listens to a channel after its last
            subscriber left, so that a page that reloads needs no storage. 0 or more. A
            channel that never had an event is dropped at once if no stream of it has
            lasted this long.
        dead_peer_seconds: Seconds after which a client is disconnected that no longer
            acknowledges packets, or takes none of the bytes that wait for it (Linux 5.11).
            Needs access to the connection. 1 to 86,400.
        send_buffer_bytes: Kernel send buffer of a client's connection in bytes, which is
            what a client that stopped reading costs. Needs access to the connection. At
            least 4,096. :obj:`None` leaves the size to the kernel, which allows megabytes.
        publish_timeout_seconds: Seconds that a publish may take before it fails. Above
            0. :obj:`None` sets no limit.
        publish_waits: Whether a publish waits up to ``publish_timeout_seconds`` for
            storage that is unavailable, instead of failing at once. It is retried, and
            stored once.
        open_event: Whether a stream begins with an event ``heliograph.open``, which tells
            a page its position. Otherwise with an id alone, which a page cannot read.
        compression: How streams may be compressed for clients that accept gzip, unless
            ``channels`` says otherwise for one of their channels: ``"blocks"`` in blocks
            that stand alone, ``"shared-window"`` in blocks that refer to previous ones, for
            streams that everyone may read. :obj:`None` for not at all.
        channels: Options of single channels: a dict of name patterns, in which ``*``
            matches any text, and dicts of options: ``history_events``,
            ``history_seconds``, ``forget_seconds``, ``retained_keys`` and ``compression``.
            For the channels that a pattern matches, they replace the fields of the same
            names. An exact name counts before all patterns, then the longest pattern. The
            value is kept as an immutable copy.

    Raises:
        ConfigError: Fields have the wrong type or are out of range; lists all of them.
    """

    history_events: int = _DEFAULTS.history_events
    history_seconds: float = _DEFAULTS.history_seconds
    forget_seconds: float = _DEFAULTS.forget_seconds
    retained_keys: int = _DEFAULTS.retained_keys
    log_events: int = 1_024
    log_bytes: int = 1_048_576
    heartbeat_seconds: float | None = 15.0
    retry_ms: int = 2_000
    max_event_bytes: int = 262_144
    max_lag_bytes: int = 1_048_576
    max_lag_total_bytes: int = 134_217_728
    max_subscribers: int = 10_000
    max_subscribers_per_channel: int = 10_000
    max_subscribers_per_address: int | None = None
    max_channels: int = 50_000
    max_channels_per_address: int | None = None
    max_stream_seconds: float | None = None
    retry_after_seconds: int = 5
    refuse_with_status: bool = False
    linger_seconds: float = 10.0
    dead_peer_seconds: float = 30.0
    send_buffer_bytes: int | None = 131_072
    publish_timeout_seconds: float | None = 10.0
    publish_waits: bool = False
    open_event: bool = True
    compression: Compression = _DEFAULTS.compression
    channels: Mapping[str, Mapping[str, object]] = NO_PATTERNS

    def __post_init__(self) -> None:
        found = [
            problem
            for name, rule in _RULES.items()
            if (problem := rule.problem(name, getattr(self, name)))
        ]
        found += [
            f"{name} must be True or False, not {value!r}"
            for name in _FLAGS
            if not isinstance(value := getattr(self, name), bool)
        ]
        found += self._take_channels()
        if not found and self.max_event_bytes > self.max_lag_bytes:
            found.append(
                f"max_event_bytes must be at most max_lag_bytes ({self.max_lag_bytes}),"
                f" not {self.max_event_bytes}: a single event of that size would disconnect"
                " every client"
            )
        if not found and self.max_lag_bytes > self.max_lag_total_bytes:
            found.append(
                "max_lag_total_bytes must be at least max_lag_bytes"
                f" ({self.max_lag_bytes}), not {self.max_lag_total_bytes}: the smaller one"
                " would apply to each client"
            )
        if found:
            raise ConfigError(found)

    @property
    def channel_patterns(self) -> ChannelPatterns:
        """The value of ``channels``, with which the options of a channel are looked up."""
        assert isinstance(self.channels, ChannelPatterns)  # noqa: S101 - see _take_channels
        return self.channels

    def _take_channels(self) -> list[str]:
        """Replace ``channels`` by an immutable value, and return what is wrong with it."""
        given = {name: getattr(self, name) for name in RULES}
        if any(rule.problem(name, given[name]) for name, rule in RULES.items()):
            return pattern_problems(self.channels)
        defaults = ChannelOptions(**given)
        if problem := lifetime_problem(defaults):
            return [problem, *pattern_problems(self.channels)]
        try:
            patterns = ChannelPatterns(self.channels, defaults)
        except ConfigError as error:
            return list(error.problems)
        object.__setattr__(self, "channels", patterns)
        return []


_FLAGS = ("refuse_with_status", "publish_waits", "open_event")

_RULES: Mapping[str, Rule] = {
    **RULES,
    "log_events": Number(1),
    "log_bytes": Number(1),
    "heartbeat_seconds": seconds(optional=True),
    "retry_ms": Number(0, 3_600_000),
    "max_event_bytes": Number(64),
    "max_lag_bytes": Number(1),
    "max_lag_total_bytes": Number(1),
    "max_subscribers": Number(1),
    "max_subscribers_per_channel": Number(1),
    "max_subscribers_per_address": Number(1, optional=True),
    "max_channels": Number(1),
    "max_channels_per_address": Number(1, optional=True),
    "max_stream_seconds": seconds(optional=True),
    "retry_after_seconds": Number(0, DAY),
    "linger_seconds": seconds(0),
    "dead_peer_seconds": seconds(1, DAY),
    "send_buffer_bytes": Number(4_096, 2**30, optional=True),
    "publish_timeout_seconds": seconds(optional=True),
}
