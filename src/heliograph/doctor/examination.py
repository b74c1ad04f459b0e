"""
The examination: which requests are sent, in which order, and what is waited for.

It only collects. What it means is decided by the checks.
"""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING

from ..channels.position import Positions
from ..errors import ConfigError, InvalidStreamIdError
from .connection import preferred_protocol
from .exchanges import Exchanges, Open
from .observation import Exchange, Observation
from .publishing import publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from .target import Address, Target

__all__ = ["examine"]

_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 20  # as the Fetch standard has it
_FORBIDDEN = 403
# How long a stream may take for its first event, and a body that is no stream to end.
_FIRST_SECONDS = 3.0
# How many streams are open together at most, with the first: a browser has six connections.
_COPIES_TOGETHER = 2
# Each reaches a worker of its own by chance, so that few would miss a second worker.
_COPIES = 8
_AT_ONCE_SECONDS = 1.0
_HEARTBEAT_MARGIN_SECONDS = 3.0
# An epoch that no channel has: they are random.
_STRANGE_EPOCH = "doctor"


def examine(target: Target, tell: Callable[[str], None] = lambda _: None) -> Observation:
    """
    Collect what can be seen of a stream.

    Args:
        target: What to examine.
        tell: Called with what is being done, for a person who waits.
    """
    with Exchanges(target) as exchanges:
        examination = _Examination(target, exchanges, tell)
        examination.run()
        return examination.seen


class _Examination:
    """One examination, step by step; each step adds to :attr:`seen`."""

    def __init__(
        self, target: Target, exchanges: Exchanges, tell: Callable[[str], None]
    ) -> None:
        self._target = target
        self._exchanges = exchanges
        self._tell = tell
        self._headers = target.headers
        self._origin: str | None = None
        self._first_seconds = min(_FIRST_SECONDS, target.timeout_seconds)
        self.seen = Observation(target, Exchange(target.address))

    def run(self) -> None:
        """Do everything that the answers allow."""
        self._tell("connecting")
        seen = self.seen
        seen.forward_proxy = _forward_proxy(self._target.address)
        main = self._follow_redirects()
        seen.main = main.seen
        seen.main.connected.alpn = (
            None if main.seen.connected.fault else self._preferred(main.seen)
        )
        if main.seen.status and not main.seen.is_stream:
            self._exchanges.watch(self._first_seconds, lambda: not main.is_open)
        if main.seen.status == _FORBIDDEN and self._origin is not None:
            self.seen.without_origin = self._request(main.seen.address, None).seen
        if self._target.origin is not None and main.seen.fault is None:
            self._preflight(main.seen.address)
        if main.seen.is_stream:
            self._stream(main)
        elif self._target.broker and main.seen.status == 0 and main.is_open:
            # A proxy may keep the head back together with what follows it.
            self._tell("publishing")
            seen.publication = publish(self._target, self._exchanges, [main], None)

    def _preferred(self, seen: Exchange) -> str | None:
        return preferred_protocol(seen.address, self._target, seen.connected.peer)

    # The first answer

    def _follow_redirects(self) -> Open:
        target = self._target
        address = target.address
        is_tainted = False
        while True:
            origin = self._origin_at(address, is_tainted=is_tainted)
            exchange = self._request(address, origin)
            seen = exchange.seen
            location = seen.header("location")
            if seen.status not in _REDIRECTS or location is None:
                self._origin = origin
                return exchange
            exchange.close()
            if len(self.seen.hops) == _MOST_REDIRECTS:
                self.seen.loop = True
                return exchange
            try:
                following = address.to(location)
            except ConfigError:
                self.seen.strange_location = location
                return exchange
            self.seen.hops.append(seen)
            # Fetch standard, "redirect-tainted origin": the origin is hidden if a server of
            # another origin redirects to a third.
            if target.origin is not None and address.origin not in {
                following.origin,
                target.origin,
            }:
                is_tainted = True
            if not _may_have_headers(address, following):
                self._headers = ()
            address = following

    def _origin_at(self, address: Address, *, is_tainted: bool) -> str | None:
        if is_tainted:
            return "null"
        return None if self._target.origin == address.origin else self._target.origin

    def _request(self, address: Address, origin: str | None) -> Open:
        exchange = self._exchanges.request(address, origin=origin, headers=self._headers)
        self._exchanges.watch(
            self._target.timeout_seconds,
            lambda: bool(exchange.seen.status) or not exchange.is_open,
        )
        return exchange

    def _preflight(self, address: Address) -> None:
        origin = self._target.origin
        if origin is None or self._origin is None:
            return
        names = {"last-event-id", *self._target.asked_names}
        asked = self._exchanges.preflight(address, self._origin, names)
        self._exchanges.watch(self._target.timeout_seconds, lambda: not asked.is_open)
        self.seen.preflight = asked.seen

    # A stream

    def _stream(self, main: Open) -> None:
        self._tell("waiting for the first event")
        seen = main.seen
        self._exchanges.watch(
            self._first_seconds, lambda: bool(seen.events) or not main.is_open
        )
        if not main.is_open:
            if not seen.is_retry_answer:
                self._open_again(main)
            return
        self._tell("opening more streams")
        plain = self._another(coding="identity")
        self.seen.plain = plain.seen
        copies = [
            self._another(last_event_id=seen.last_event_id)
            for _ in range(_COPIES_TOGETHER if seen.last_event_id else 0)
        ]
        self.seen.copies = [copy.seen for copy in copies]
        self._wait_for_first([plain, *copies])
        if self._target.broker:
            self._tell("publishing")
            self.seen.publication = publish(
                self._target, self._exchanges, [main, *copies], plain
            )
        for one in (plain, *copies):
            one.close()
        if seen.opened is not None and plain.seen.status:
            self._tell("reconnecting")
            self._reconnect(main)
        self._wait_for_heartbeat(main)
        self._be_patient(main)
        self.seen.watched_seconds = seen.end_seconds or main.age()
        if not main.is_open:
            self._open_again(main)

    def _open_again(self, main: Open) -> None:
        again = self._another(last_event_id=main.seen.last_event_id or None)
        self._wait_for_first([again])
        if (main.seen.end_seconds or 0.0) < _AT_ONCE_SECONDS:
            # A stored answer ends as quickly as the first one did.
            self._exchanges.watch(_AT_ONCE_SECONDS, lambda: not again.is_open)
        self.seen.again = again.seen

    def _another(
        self,
        *,
        last_event_id: str | None = None,
        coding: str = "gzip, deflate",
        address: Address | None = None,
    ) -> Open:
        return self._exchanges.request(
            address or self.seen.main.address,
            origin=self._origin,
            last_event_id=last_event_id,
            coding=coding,
            headers=self._headers,
        )

    def _wait_for_first(self, opened: list[Open]) -> None:
        self._exchanges.watch(
            self._target.timeout_seconds,
            lambda: all(one.seen.status or not one.is_open for one in opened),
        )
        self._exchanges.watch(
            self._first_seconds,
            lambda: all(one.seen.events or not one.is_open for one in opened),
        )

    def _reconnect(self, main: Open) -> None:
        """Reconnect to a stream of Heliograph, with ids of several kinds, one by one."""
        seen, opened = main.seen, main.seen.opened
        if not seen.last_event_id or opened is None:
            return
        while len(self.seen.copies) < _COPIES:
            copy = self._another(last_event_id=seen.last_event_id)
            self._wait_for_first([copy])
            copy.close()
            self.seen.copies.append(copy.seen)
            if not copy.seen.events:
                break
        queried = seen.address.with_parameter("lastEventId", seen.last_event_id)
        by_query = self._another(address=queried)
        strange = self._another(
            last_event_id=_strange_id(seen.last_event_id, opened.channels)
        )
        self._wait_for_first([by_query, strange])
        # A gap event follows the opening, perhaps in another packet.
        self._exchanges.watch(1.0, lambda: bool(strange.seen.gap) or not strange.is_open)
        self.seen.by_query, self.seen.strange = by_query.seen, strange.seen
        by_query.close()
        strange.close()

    # Time

    def _wait_for_heartbeat(self, main: Open) -> None:
        seen = main.seen
        opened = seen.opened
        seconds = self._target.wait_seconds
        if opened is not None and opened.heartbeat_seconds is not None:
            due = opened.heartbeat_seconds + _HEARTBEAT_MARGIN_SECONDS
            seconds = due if seconds is None else min(seconds, due)
        elif opened is not None:
            seconds = 0.0
        if seconds is None:
            seconds = 20.0
        self._tell(f"waiting for a heartbeat, {seconds:.0f} seconds at most")
        self._exchanges.watch(seconds, lambda: bool(seen.heartbeats) or not main.is_open)

    def _be_patient(self, main: Open) -> None:
        seconds = self._target.patient_seconds - main.age()
        if seconds > 0 and main.is_open:
            self._tell(f"watching the stream for {seconds:.0f} seconds more")
            self._exchanges.watch(seconds, lambda: not main.is_open)


def _may_have_headers(before: Address, after: Address) -> bool:
    """Return whether the headers of a request, with its secrets, may follow a redirect."""
    if before.origin == after.origin:
        return True
    return (before.scheme, before.port, after.scheme, after.port, before.host) == (
        "http",
        80,
        "https",
        443,
        after.host,
    )


def _strange_id(last_event_id: str, channels: tuple[str, ...]) -> str:
    """Return an id of the same channels with epochs that they never had."""
    try:
        Positions.parse(last_event_id, channels)
    except InvalidStreamIdError:
        return f"{_STRANGE_EPOCH}.{_STRANGE_EPOCH}-1"
    tag = last_event_id.partition(".")[0]
    return ".".join([tag, f"{_STRANGE_EPOCH}-1", *("1" for _ in channels[1:])])


def _forward_proxy(address: Address) -> str | None:
    if urllib.request.proxy_bypass(address.host):
        return None
    return urllib.request.getproxies().get(address.scheme)
