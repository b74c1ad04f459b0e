"""
Requests and what comes of them, any number at a time, in one thread.

A probe opens exchanges and then watches all of them until something has been seen: nothing
else runs meanwhile, so the times of what arrives are those of the network.
"""

from __future__ import annotations

import selectors
import ssl
import time
import zlib
from typing import TYPE_CHECKING, Self

import h11

from .. import __version__
from ..errors import EventTooLargeError
from ..wire.parser import EventStreamParser
from .connection import connect, speaks_tls
from .observation import Arrival, Exchange, Fault, Seen
from .target import FIELD_VALUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .target import Address, Target

__all__ = ["Exchanges", "Open"]

_CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_HTTP = b"HTTP/"
# RFC 9113 section 3.4: a server begins with this type of frame, without flags.
_SETTINGS = b"\x04\x00"
_RECEIVED_AT_ONCE = 1 << 16
_READS = 4
# Of a response that is no stream, more is not read.
_MAX_BODY = 1 << 20
# Of a stream, more is read but not kept, except the events that the checks look for.
_MAX_KEPT = 1 << 22


class Open:
    """
    An exchange whose connection is open.

    Attributes:
        seen: What was seen of it.
    """

    def __init__(
        self,
        address: Address,
        target: Target,
        headers: list[tuple[str, str]],
        method: str = "GET",
        *,
        dead: dict[tuple[str, int], str],
    ) -> None:
        origin = next((value for name, value in headers if name == "Origin"), None)
        self.seen = Exchange(address, origin)
        self._parser = EventStreamParser()
        self._state = h11.Connection(h11.CLIENT)
        self._decoder: zlib._Decompress | None = None
        self._method = method
        self._raw = b""
        self._received = 0
        self.seen.connected, self.socket = connect(address, target, dead)
        self.seen.fault = self.seen.connected.fault
        self.seen.sent_seconds = time.monotonic()
        if self.socket is not None:
            self._send(address, headers)

    def _send(self, address: Address, headers: list[tuple[str, str]]) -> None:
        assert self.socket is not None  # noqa: S101 - as the caller has seen
        request = h11.Request(
            method=self._method,
            target=address.path,
            headers=[
                (name.encode(), value.encode())
                for name, value in (("Host", address.authority), *headers)
            ],
        )
        data = (self._state.send(request) or b"") + (
            self._state.send(h11.EndOfMessage()) or b""
        )
        try:
            self.socket.sendall(data)
            self.socket.setblocking(False)  # noqa: FBT003 - as socket has it
        except OSError as error:
            self._fail("closed", str(error))

    @property
    def is_open(self) -> bool:
        """Whether more can arrive."""
        return self.socket is not None

    def age(self) -> float:
        """Return the seconds since the request was sent."""
        return time.monotonic() - self.seen.sent_seconds

    def take(self) -> None:
        """
        Read what has arrived, without waiting.

        Not all of it at once: a server that sends faster than this reads would hold the
        examination beyond its time.
        """
        for _ in range(_READS):
            if self.socket is None:
                return
            try:
                data = self.socket.recv(_RECEIVED_AT_ONCE)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            except OSError as error:
                self._lost(str(error))
                return
            if self.seen.status == 0:
                self._raw += data[:64]
                if not self._raw.startswith(_HTTP[: len(self._raw)]):
                    # The parser would wait for the end of a head.
                    self._lost("")
                    return
            try:
                self._state.receive_data(data)
                self._take_parsed()
            except h11.RemoteProtocolError as error:
                self._lost(str(error))
            if not data:
                self.close()

    def close(self) -> None:
        """Close the connection. What was seen stays."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def _take_parsed(self) -> None:
        while True:
            parsed = self._state.next_event()
            if isinstance(parsed, h11.Response):
                self._take_head(parsed)
            elif isinstance(parsed, h11.Data):
                self._take_body(bytes(parsed.data))
            elif isinstance(parsed, h11.EndOfMessage):
                self._end("complete")
                return
            elif isinstance(parsed, h11.InformationalResponse):
                continue
            elif parsed is h11.NEED_DATA:
                return
            else:
                self._lost("the connection was closed without a response")
                return

    def _take_head(self, head: h11.Response) -> None:
        seen = self.seen
        seen.head_seconds = self.age()
        seen.status = head.status_code
        seen.reason = head.reason.decode("latin-1")
        seen.http_version = head.http_version.decode()
        seen.headers = [
            (name.decode().lower(), value.decode("latin-1")) for name, value in head.headers
        ]
        if "chunked" in (seen.header("transfer-encoding") or "").lower():
            seen.framing = "chunked"
        else:
            seen.framing = "close" if seen.header("content-length") is None else "length"
        coding = (seen.header("content-encoding") or "identity").strip().lower()
        if coding in _CODINGS:
            self._decoder = zlib.decompressobj(wbits=_CODINGS[coding])
        elif coding != "identity":
            seen.undecodable = f"Content-Encoding: {coding}, which was not offered"

    def _take_body(self, data: bytes) -> None:
        seen = self.seen
        if self._decoder is not None:
            try:
                data = self._decoder.decompress(data)
            except zlib.error as error:
                seen.undecodable = f"Content-Encoding: {error}"
                self._decoder = None
        if not data:
            return
        seconds = self.age()
        self._received += len(data)
        is_kept = self._received <= _MAX_KEPT
        seen.arrivals.append(Arrival(seconds, data if is_kept else b""))
        if not seen.is_stream:
            if self._received > _MAX_BODY:
                self._end("complete")
            return
        if seen.undecodable or seen.oversized:
            return
        try:
            events = self._parser.feed(data)
        except EventTooLargeError as error:
            seen.oversized = str(error)
            return
        seen.events += [
            Seen(seconds, event)
            for event in events
            if is_kept or (event.type or "").startswith("heliograph")
        ]
        seen.last_event_id = self._parser.last_event_id
        seen.retry_ms = self._parser.reconnection_time_ms

    def _lost(self, detail: str) -> None:
        if self.seen.status:
            self._end("cut")
        elif self.seen.address.scheme == "https" and self._raw[3:5] == _SETTINGS:
            self._fail("h2", "the server answers HTTP/1.1 with a frame of HTTP/2")
        elif self._raw.startswith((b"\x15\x03", b"\x16\x03")) or (
            self.seen.address.scheme == "http"
            and speaks_tls(self.seen.address, self.seen.connected.peer)
        ):
            self._fail("tls-port", "the port answers TLS")
        else:
            started = self._raw[:40].decode("latin-1")
            parts = [repr(started) if started else "", detail]
            kind = "no-http" if self._raw else "closed"
            self._fail(kind, ": ".join(part for part in parts if part))

    def _end(self, how: str) -> None:
        self.seen.end = how
        self.seen.end_seconds = self.age()
        self.close()

    def _fail(self, kind: str, detail: str) -> None:
        self.seen.fault = Fault(kind, detail)
        self.close()


class Exchanges:
    """
    The exchanges of one examination. A block with them closes all.

    Args:
        target: What is examined.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._all: list[Open] = []
        self._dead: dict[tuple[str, int], str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for exchange in self._all:
            exchange.close()

    def request(
        self,
        address: Address,
        *,
        origin: str | None = None,
        last_event_id: str | None = None,
        coding: str = "gzip, deflate",
        headers: Iterable[tuple[str, str]] = (),
    ) -> Open:
        """Ask for a stream, as a browser does."""
        fields = [
            ("User-Agent", f"heliograph-doctor/{__version__}"),
            ("Accept", "text/event-stream"),
            ("Accept-Encoding", coding),
            ("Cache-Control", "no-cache"),
        ]
        fields += [("Origin", origin)] if origin is not None else []
        if last_event_id is not None and FIELD_VALUE.fullmatch(last_event_id):
            # As UTF-8: WHATWG HTML section 9.2.4.
            fields.append(("Last-Event-ID", last_event_id))
        given = list(headers)
        replaced = {name.lower() for name, _ in given}
        return self._opened(
            address, [one for one in fields if one[0].lower() not in replaced] + given
        )

    def preflight(self, address: Address, origin: str, names: Iterable[str]) -> Open:
        """Ask whether a page of another origin may send a GET with some headers."""
        fields = [
            ("User-Agent", f"heliograph-doctor/{__version__}"),
            ("Accept", "*/*"),
            ("Origin", origin),
            ("Access-Control-Request-Method", "GET"),
            # As the Fetch standard writes them: in lower case, sorted, without spaces.
            ("Access-Control-Request-Headers", ",".join(sorted(names))),
        ]
        return self._opened(address, fields, "OPTIONS")

    def _opened(
        self, address: Address, headers: list[tuple[str, str]], method: str = "GET"
    ) -> Open:
        exchange = Open(address, self._target, headers, method, dead=self._dead)
        self._all.append(exchange)
        return exchange

    def watch(self, seconds: float, until: Callable[[], bool]) -> None:
        """
        Read what arrives on all exchanges until a condition holds.

        Args:
            seconds: The time after which to stop in any case.
            until: The condition, tried after each arrival.
        """
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            for exchange in self._all:
                if exchange.socket is not None:
                    selector.register(exchange.socket, selectors.EVENT_READ, exchange)
                    # TLS may have decrypted what the socket does not show any more.
                    exchange.take()
                    if exchange.socket is None:
                        _forget_closed(selector)
            while not until() and selector.get_map() and time.monotonic() < deadline:
                for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                    key.data.take()
                _forget_closed(selector)


def _forget_closed(selector: selectors.BaseSelector) -> None:
    for key in [*selector.get_map().values()]:
        if not key.data.is_open:
            selector.unregister(key.fileobj)
