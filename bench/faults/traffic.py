"""Publishers and readers: raw HTTP over sockets, all in one loop."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import time
import zlib

from heliograph import EventStreamParser

# Beyond SSE_PUBLISH_TIMEOUT_SECONDS, and what a stopped worker needs on top of it.
PUBLISH_SECONDS = 20.0
# Far beyond SSE_HEARTBEAT_SECONDS and the longest stop of a worker.
SILENCE_SECONDS = 40.0
OPENING_SECONDS = 40.0
MEAN_STAY_SECONDS = 15.0

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


async def publish(port, channel, data):
    """Return the id of an event that was acknowledged, else :obj:`None`."""
    body = json.dumps(data)
    head = (
        f"POST /publish?channel={channel} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    try:
        async with asyncio.timeout(PUBLISH_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write((head + body).encode())
                raw = await reader.read()
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return None
    head, _, text = raw.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    is_whole = length is not None and len(text) == int(length[1])
    return text.decode() if is_whole and head.split()[1:2] == [b"200"] else None


async def publish_until(stopping, book, name, channels, ports, chance, seconds):
    """Publish every so many seconds on average; repeat what was not acknowledged."""
    number = book.counts[f"published by {name}"]
    while not stopping.is_set():
        number += 1
        channel = chance.choice(channels)
        attempt = 0
        while not stopping.is_set() or attempt == 0:
            attempt += 1
            key = f"{channel} {name} {number} {attempt}"
            book.begin(key, channel)
            stream_id = await publish(chance.choice(ports), channel, key)
            if stream_id is not None:
                book.acknowledge(key, stream_id)
                break
            book.counts["publishes that failed"] += 1
            await asyncio.sleep(0.2)
        await asyncio.sleep(chance.expovariate(1 / seconds))
    book.counts[f"published by {name}"] = number


class Body:
    """The events of a response, whatever its framing and coding."""

    def __init__(self, head, last_event_id):
        head = head.lower()
        self._is_chunked = b"transfer-encoding: chunked" in head
        self._decoder = (
            zlib.decompressobj(wbits=31) if b"content-encoding: gzip" in head else None
        )
        self._parser = EventStreamParser(last_event_id=last_event_id)
        self._framed = b""

    def feed(self, data):
        if self._is_chunked:
            data = self._chunks(data)
        if self._decoder is not None:
            data = self._decoder.decompress(data)
        return self._parser.feed(data)

    def _chunks(self, data):
        self._framed += data
        found = b""
        while b"\r\n" in self._framed:
            size, _, rest = self._framed.partition(b"\r\n")
            size = int(size, 16)
            if len(rest) < size + 2:
                break
            found += rest[:size]
            self._framed = rest[size + 2 :]
        return found


class Reader:
    """One client that connects again and again, and resumes."""

    def __init__(self, view, ports, chance):
        self.view = view
        self.ports = ports
        self.chance = chance
        self.writer = None

    async def run(self):
        counts = self.view.book.counts
        while True:
            try:
                await self._connection()
            except (OSError, EOFError):
                counts["connections that ended"] += 1
            else:
                counts["connections that the reader cut"] += 1
            await asyncio.sleep(self.chance.random())
            if self.chance.random() < 0.03:
                self.view.forget()

    def cut(self):
        """Reset the connection, as a network does."""
        if self.writer is not None:
            self.writer.transport.abort()

    async def _connection(self):
        reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.chance.choice(self.ports)
        )
        try:
            await self._read(reader, self.writer)
        finally:
            if self.chance.random() < 0.5:
                linger = struct.pack("ii", 1, 0)
                own = self.writer.get_extra_info("socket")
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.writer.transport.abort()
            self.writer = None

    async def _read(self, reader, writer):
        view, book = self.view, self.view.book
        query = "&".join(f"channel={name}" for name in view.channels)
        version = self.chance.randrange(2)
        lines = [f"GET /stream?{query} HTTP/1.{version}", "Host: x"]
        if self.chance.random() < 0.3:
            lines.append("Accept-Encoding: gzip")
        if view.last_event_id:
            lines.append(f"Last-Event-ID: {view.last_event_id}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        stay = self.chance.expovariate(1 / MEAN_STAY_SECONDS)
        try:
            async with asyncio.timeout(OPENING_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
        except TimeoutError:
            book.finding("silent", f"{view.name} got no response")
            return
        status = head.split()[1].decode()
        if status != "200":
            book.counts[f"streams refused with {status}"] += 1
            return
        body = Body(head, view.last_event_id)
        port = writer.get_extra_info("peername")[1]
        book.trace(f"{view.name} is connected to {port} after {view.last_event_id}")
        ends = time.monotonic() + stay
        while (left := ends - time.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(left, SILENCE_SECONDS)):
                    data = await reader.read(1 << 16)
            except TimeoutError:
                if left > SILENCE_SECONDS:
                    book.finding("silent", f"{view.name} got nothing")
                return
            if not data:
                raise EOFError
            for event in body.feed(data):
                view.take(event)
