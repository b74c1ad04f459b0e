"""Clients that come and go, and keep a record of what they were given."""

import asyncio
import json
import zlib

from streams import StreamParser


class Reader:
    """
    A client that is cut off at random.

    ``ports`` are of servers, any of which will do; events are JSON, a channel and a number;
    ``asks_for_gzip``: the server has to compress then.
    """

    def __init__(self, ports, channels, *, asks_for_gzip=False):
        self.asks_for_gzip = asks_for_gzip
        self.ports = ports
        self.channels = channels
        self.last_event_id = None
        self.record = {name: [] for name in channels}
        # For each gap event its data, and how long the records were then.
        self.gaps = []
        # The channels of which it was told that they have ended.
        self.ends = []
        self.connections = 0
        # It does not come back while this is true.
        self.away = False
        self.done = asyncio.Event()

    async def run(self, chance, ending):
        while not self.done.is_set():
            try:
                # Long sits and short visits, also some that end before the first event.
                limit = (
                    None
                    if ending.is_set()
                    else chance.choice([0.02, 0.2, 1, 3]) * chance.random()
                )
                async with asyncio.timeout(limit):
                    await self.visit(chance.choice(self.ports))
            except (TimeoutError, OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(chance.random() * 0.3)
                while self.away:
                    await asyncio.sleep(0.1)

    async def visit(self, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            query = "&".join(f"channel={name}" for name in self.channels)
            head = f"GET /stream?{query} HTTP/1.1\r\nHost: test\r\n"
            if self.last_event_id:
                head += f"Last-Event-ID: {self.last_event_id}\r\n"
            if self.asks_for_gzip:
                head += "Accept-Encoding: gzip\r\n"
            writer.write(f"{head}\r\n".encode())
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            if answer.startswith(b"http/1.1 204"):
                # As an EventSource, it never comes again.
                self.done.set()
                return
            assert answer.startswith(b"http/1.1 200"), answer
            assert (b"content-encoding: gzip" in answer) is self.asks_for_gzip
            self.connections += 1
            parser = StreamParser(last_event_id=self.last_event_id or "")
            decoder = zlib.decompressobj(wbits=31)
            async for part in _parts(reader, b"transfer-encoding: chunked" in answer):
                data = decoder.decompress(part) if self.asks_for_gzip else part
                for event in parser.feed(data):
                    self.take(event)
                self.last_event_id = parser.last_event_id
                if self.done.is_set():
                    return
        finally:
            writer.close()

    def take(self, event):
        if event.type == "heliograph.gap":
            sizes = {name: len(record) for name, record in self.record.items()}
            self.gaps.append((json.loads(event.data), sizes))
            return
        if event.type == "heliograph.end":
            self.ends.append(json.loads(event.data)["channel"])
            return
        channel, n = json.loads(event.data)
        self.record[channel].append(n)


async def _parts(reader, is_chunked):
    """Yield the parts of a body."""
    if not is_chunked:
        while data := await reader.read(1 << 16):
            yield data
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]


async def stop(readers, tasks):
    """End all readers; give what went wrong in them."""
    for reader, task in zip(readers, tasks, strict=True):
        reader.done.set()
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [
        r for r in results if r is not None and not isinstance(r, asyncio.CancelledError)
    ]
