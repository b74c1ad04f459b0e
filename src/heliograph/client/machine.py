"""
What an event source does next: the client's half of WHATWG HTML section 9.2, sans-IO.

:class:`Machine` is told what has happened (a head, bytes, the end, an error) and answers
with what to do: :class:`Connect`, :class:`Read`, :class:`Wait` or :class:`Stop`. It has
neither a clock nor a socket nor a loop, so both faces share each decision, and tables of
bytes can test them.

Two rules hold in every state. The last event id changes only with a whole block, so an
unfinished one is read again after the reconnect. And whatever is not understood ends the
stream with an error instead of being repeated for ever: only what passes by itself (the
network, a server that restarts) is tried again.

Beyond the standard are delays that grow while attempts fail, statuses that pass, and a
bound on silence; :class:`~heliograph.client.Reconnect` and ``timeout`` set them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import ConnectionLostError, EventTooLargeError, StreamRefusedError
from ..rules import seconds
from ..wire.parser import StreamInterpreter
from .actions import CREDENTIALS, Connect, Follow, Read, Stop, Target, Wait
from .events import End, Gap, MessageEvent, ReadyState
from .reconnect import retry_after_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .actions import Action, Head
    from .settings import Settings

__all__ = ["Machine"]

# Fetch follows twenty (WHATWG Fetch section 4.4, step 4 of HTTP-redirect fetch), and so
# does Chromium 156.
_MOST_REDIRECTS = 20

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# The target has a new permanent address (RFC 9110 sections 15.4.2 and 15.4.9).
_MOVED = frozenset({301, 308})

# Longest silence before a server that names no heartbeat counts as lost. Long, because a
# stream without ids loses what happens between two connections.
_SILENCE_SECONDS = 300.0
# A head takes no longer, unless something is broken.
_HEAD_SECONDS = 60.0
# Heartbeats that may be missing: one can be late, and two are lost together rarely.
_HEARTBEATS = 3


class Machine:
    """
    The state of one event source.

    Args:
        settings: What its caller has asked for.
        random: Returns a number from 0 to 1, for the jitter.

    Attributes:
        ready_state: The state of the connection.
        target: Where the caller wants to connect to.
        url: Where to connect to next: the target, or where it has moved to for good.
        last_event_id: The id of the last whole block.
        opening_event: The ``heliograph.open`` of the last connection that has one.
        failures: Number of attempts that have failed since a stream was open.
        head_seconds: Longest time until the head of a response; :obj:`None` for any.
        silence_seconds: Longest time without a byte of an open stream until the server
            counts as lost, as far as it is known; :obj:`None` for any.
    """

    def __init__(self, settings: Settings, *, random: Callable[[], float]) -> None:
        self.ready_state = ReadyState.CONNECTING
        self.target = Target(settings.url, settings.headers)
        self.url = settings.url
        self.last_event_id = settings.last_event_id
        self.opening_event: MessageEvent | None = None
        self._settings = settings
        self._random = random
        self._policy = settings.policy
        self._retry_ms: int | None = None
        self.failures = 0
        self._redirects = 0
        # Where the target has moved to, if all redirects of this attempt are permanent.
        self._moved_to: str | None = None
        self._is_moved = True
        # Whether all addresses of this attempt are of the target's origin.
        self._may_authenticate = True
        timeout = settings.timeout
        self._follows_heartbeats = timeout == "heartbeats"
        self.head_seconds: float | None = _HEAD_SECONDS
        # Kept over connections: the next one will have the same.
        self.silence_seconds: float | None = _SILENCE_SECONDS
        if timeout != "heartbeats":
            self.head_seconds = self.silence_seconds = timeout
        self._opening_data: str | None = None
        self._parser = self._new_parser()

    def connect(self) -> Connect:
        """Return the request of the next attempt."""
        self._redirects = 0
        self._moved_to, self._is_moved = None, True
        self._may_authenticate = _may_authenticate(self.target.url, self.url)
        return Connect(self.url, self._headers(), may_authenticate=self._may_authenticate)

    def renew(self, target: Target) -> None:
        """
        Connect to another target from now on.

        Args:
            target: What the caller has returned. With the address of the last one, it
                remains where that has moved to.
        """
        if target.url != self.target.url:
            self.url = target.url
        self.target = target

    def receive_head(self, head: Head, now: float) -> Action:
        """
        Return what to do after a response.

        Args:
            head: Its head.
            now: Seconds since 1970 (UTC), for a ``Retry-After`` that is a date.
        """
        if head.status in _REDIRECTS and head.location is not None:
            return self._redirected(head, head.location)
        if head.status == 204:  # noqa: PLR2004 - HTTP's
            # The server has no more events: section 9.2.3 closes without an error.
            return self._stop(None)
        if head.status in self._policy.statuses and self._may_reconnect:
            return self._failed(
                self._refused(head, f"status {head.status}"),
                at_least=retry_after_seconds(head.headers.get("retry-after"), now),
            )
        if head.status != 200:  # noqa: PLR2004 - HTTP's
            return self._stop(self._refused(head, f"status must be 200, not {head.status}"))
        if not _is_event_stream(head.headers.get("content-type", "")):
            found = head.headers.get("content-type", "")
            return self._stop(
                self._refused(
                    head, f"Content-Type must be text/event-stream, not {found!r}"
                )
            )
        if self._moved_to is not None:
            self.url = self._moved_to
        self.failures = 0
        self._parser = self._new_parser()
        self.ready_state = ReadyState.OPEN
        return Read()

    def receive_bytes(self, chunk: bytes) -> Iterable[MessageEvent]:
        """
        Return the events that bytes of the body complete.

        Args:
            chunk: The next bytes of the body, without a content coding.

        Raises:
            EventTooLargeError: An event is larger than the limit. The stream is closed. If
                events precede it, the error is raised after the last of them.
        """
        try:
            values = self._parser.feed(chunk)
        except EventTooLargeError as error:
            raise self._too_large(error) from None
        self.last_event_id = self._parser.last_event_id
        if self._parser.reconnection_time_ms is not None:
            self._retry_ms = self._parser.reconnection_time_ms
        if self._opening_data is not None:
            values = [value for value in values if value.type != "heliograph.open"]
            if self._follows_heartbeats:
                self.silence_seconds = _silence_of(self._opening_data)
            self._opening_data = None
        if self._parser.error is not None:
            # The parser raises it with the next bytes. There may be none: the stream may
            # end, and a reconnect would begin the same event again.
            return self._then_raise(values, self._parser.error)
        return values

    def _then_raise(
        self, values: list[MessageEvent], error: EventTooLargeError
    ) -> Iterator[MessageEvent]:
        yield from values
        raise self._too_large(error)

    def _too_large(self, error: EventTooLargeError) -> EventTooLargeError:
        self.ready_state = ReadyState.CLOSED
        return EventTooLargeError(
            error.size_bytes,
            error.limit_bytes,
            "EventSource(max_event_bytes=…) sets the limit",
        )

    def receive_end(self) -> Action:
        """Return what to do after the end of the body."""
        self.ready_state = ReadyState.CONNECTING
        if not self._may_reconnect:
            return self._stop(None)
        return Wait(self._delay(), None)

    def receive_error(self, error: Exception, *, passes: bool = True) -> Action:
        """
        Return what to do after an error of the network, before or after a head.

        Args:
            error: The error, in the words of the HTTP library.
            passes: Whether another attempt may succeed.
        """
        if not passes:
            return self._stop(self._lost(error, "the request cannot be sent"))
        if self.ready_state is ReadyState.OPEN:
            self.ready_state = ReadyState.CONNECTING
            if self._may_reconnect:
                return Wait(self._delay(), error)
        return self._failed(error)

    def close(self) -> None:
        """Close: no event follows."""
        self.ready_state = ReadyState.CLOSED

    @property
    def _may_reconnect(self) -> bool:
        # To repeat a POST has effects. An id says that the server can resume instead.
        if self._settings.reconnects is not None:
            return self._settings.reconnects
        return self._settings.method == "GET" or self.last_event_id != ""

    def _redirected(self, head: Head, location: str) -> Action:
        self._redirects += 1
        if self._redirects > _MOST_REDIRECTS:
            return self._failed(
                self._refused(head, f"more than {_MOST_REDIRECTS} redirects")
            )
        try:
            scheme = _origin(location)[0]
        except ValueError as error:  # a port over 65535, which browsers count as no address
            return self._failed(self._refused(head, f"a redirect leads nowhere: {error}"))
        if scheme not in {"http", "https"}:
            return self._stop(
                self._refused(head, "a redirect must lead to http: or https:")
            )
        # The standard repeats the connection to wherever the last redirect has led, and so
        # does Chromium 156. RFC 9110 section 15.4 has the client return to the first
        # address after a temporary one: the node that it named may be gone by then.
        self._is_moved = self._is_moved and head.status in _MOVED
        # Once an attempt has left the origin, a way back is not the caller's any more.
        self._may_authenticate = self._may_authenticate and _may_authenticate(
            self.target.url, location
        )
        self._moved_to = None
        if self._is_moved:
            self._moved_to = location
            if self._may_authenticate:
                self._moved_to = _with_credentials(location, self.target.url)
        return Follow(may_authenticate=self._may_authenticate)

    def _failed(self, error: Exception, *, at_least: float | None = None) -> Action:
        self.ready_state = ReadyState.CONNECTING
        self.failures += 1
        attempts = self._policy.attempts
        if not self._may_reconnect:
            return self._stop(self._lost(error, "the connection failed"))
        if attempts is not None and self.failures >= attempts:
            return self._stop(self._lost(error, f"{attempts} attempts in a row failed"))
        return Wait(max(self._delay(), at_least or 0.0), error)

    def _lost(self, error: Exception, what: str) -> Exception:
        if isinstance(error, StreamRefusedError):
            return error
        reason = str(error) or type(error).__name__
        lost = ConnectionLostError(self.url, f"{what}: {reason}")
        lost.__cause__ = error
        return lost

    def _refused(self, head: Head, rule: str) -> StreamRefusedError:
        return StreamRefusedError(
            head.url, head.status, head.headers.get("content-type"), rule
        )

    def _stop(self, error: Exception | None) -> Stop:
        self.ready_state = ReadyState.CLOSED
        return Stop(error)

    def _delay(self) -> float:
        return self._policy.delay_seconds(
            named_seconds=None if self._retry_ms is None else self._retry_ms / 1000,
            failures=self.failures,
            chance=self._random(),
        )

    def _headers(self) -> list[tuple[bytes, bytes]]:
        fields = {
            "accept": ("Accept", "text/event-stream"),
            "cache-control": ("Cache-Control", "no-cache"),
        }
        if self._settings.content is not None:
            fields["content-type"] = ("Content-Type", "application/json")
        for name, value in self.target.headers.items():
            if self._may_authenticate or name.lower() not in CREDENTIALS:
                fields[name.lower()] = (name, value)
        encoded = [(name.encode(), value.encode()) for name, value in fields.values()]
        if self.last_event_id:
            # Section 9.2.3 sends it as UTF-8. Fetch trims what HTTP counts as white space
            # (section 2.2.2): "id:  5" is sent as "5", as Chromium 156 does.
            trimmed = self.last_event_id.strip("\t ")
            encoded.append((b"Last-Event-ID", trimmed.encode()))
        return encoded

    def _new_parser(self) -> StreamInterpreter[MessageEvent]:
        return StreamInterpreter(
            self._value,
            last_event_id=self.last_event_id,
            max_event_bytes=self._settings.max_event_bytes,
        )

    def _value(self, data: str, type: str, last_event_id: str) -> MessageEvent:
        if type.startswith("heliograph."):
            if type == "heliograph.gap":
                return Gap(data, type, last_event_id)
            if type == "heliograph.end":
                return End(data, type, last_event_id)
            if type == "heliograph.open":
                self._opening_data = data
                self.opening_event = MessageEvent(data, type, last_event_id)
        return MessageEvent(data, type, last_event_id)


def _is_event_stream(content_type: str) -> bool:
    # Of several, the last counts (WHATWG Fetch section 2.2.3, extract a MIME type). The
    # charset is of no concern: the standard decodes as UTF-8 whatever it says.
    essence = content_type.rpartition(",")[2].partition(";")[0]
    return essence.strip().lower() == "text/event-stream"


def _silence_of(opening: str) -> float | None:
    """Return the longest silence of a stream with this opening; no bound: None."""
    try:
        interval = json.loads(opening)["heartbeat_seconds"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return _SILENCE_SECONDS
    if interval is None:
        return None
    # JSON has NaN here, and numbers that no float can hold.
    if seconds().problem("heartbeat_seconds", interval) is not None:
        return _SILENCE_SECONDS
    return _HEARTBEATS * float(interval)


def _may_authenticate(target: str, url: str) -> bool:
    """Return whether credentials for the origin of one address are for another one's."""
    origin, other = _origin(target), _origin(url)
    # A server that wants TLS for the same host. The HTTP library keeps Authorization then,
    # and a reconnect without it would fail after a stream that was accepted.
    is_upgraded = origin[::2] == ("http", 80) and other == ("https", origin[1], 443)
    return origin == other or is_upgraded


def _with_credentials(url: str, target: str) -> str:
    """Return an address with the user and password of another one, if it names none."""
    parts = urlsplit(url)
    credentials, at, _ = urlsplit(target).netloc.rpartition("@")
    if "@" in parts.netloc:
        return url
    return parts._replace(netloc=f"{credentials}{at}{parts.netloc}").geturl()


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port
