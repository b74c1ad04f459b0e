"""
Compressed streams beside plain ones and beside a compressor for each connection, in one run.

For each mode a server with a process of its own, whose clients are in another one. All of
them are there at the same time and take turns, a few events each, so whatever else the
machine does hits all of them. What is compared: the server's processor time for each
delivery, bytes on the wire, and memory for each stream. The first and the last client of
each server decode what they get, and check that no event is missing; all get the same
number of bytes. Clients read after an event was sent to all, outside of what is measured.

    python bench/compression.py [--streams 1 100 1000 5000] [--rounds 21] [--loop uvloop]

Machines are noisy: read the ratios, not the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import platform
import random
import resource
import selectors
import socket
import statistics
import time
import zlib
from pathlib import Path
from pydoc_data.topics import topics

from bare_hub import HEAD, accept_all, wait_for

import heliograph.hub.connections
from heliograph import Event, EventStreamParser, HubConfig
from heliograph.brokers import Retention, open_broker
from heliograph.hub import Admission, Hub
from heliograph.hub.sinks import DescriptorSink
from heliograph.wire.coding import Coding
from heliograph.wire.framing import Framing

PEER = "compressor per connection"
MODES = {
    "identity": Admission(("a",)),
    "identity, chunked": Admission(("a",)),
    "one block per event": Admission(("a",), coding=Coding.GZIP_EVENTS),
    "blocks": Admission(("a",), coding=Coding.GZIP_BLOCKS),
    "shared window": Admission(("a",), coding=Coding.GZIP_WINDOW),
    PEER: Admission(("a",)),
}
CHUNKED = ("identity, chunked",)

# More than the window of any mode: from here on ratios are those of a long stream.
WARM_BYTES = 40_000
# Deliveries of a turn, and the most events.
TURN_DELIVERIES = 10_000
TURN_EVENTS = 50
TOGETHER = 10

# The targets, for 1,000 streams and more.
MOST_TIME = 1.2
MOST_TIME_OF_CHUNKS = 1.05
LEAST_OF_PEERS_RATIO = 0.9
MOST_GROWTH_PER_STREAM = 1024
FROM_STREAMS = 1000

PROSE = " ".join(
    line.strip()
    for topic in sorted(topics)
    for line in topics[topic].splitlines()
    if line[:1].isalpha() or line.startswith("   ")
).replace('"', "")


def tick(n):
    """A price as JSON: 177 bytes as a block."""
    chance = random.Random(n)
    price = chance.uniform(90, 110)
    return json.dumps(
        {
            "n": n,
            "symbol": chance.choice(["ACME", "GLOBX", "INITE", "UMBRL", "STARK"]),
            "bid": round(price, 3),
            "ask": round(price + chance.uniform(0, 0.1), 3),
            "volume": chance.randrange(100, 90_000),
            "currency": "EUR",
            "venue": chance.choice(["XNAS", "XNYS", "XLON"]),
            "at": f"2026-11-28T12:{n // 60 % 60:02}:{n % 60:02}.{chance.randrange(1000):03}Z",
        }
    )


def note(n):
    """A message as HTML in JSON, prose of the Python documentation: 1.9 KB as a block."""
    chance = random.Random(n)
    author = chance.choice(["Ada", "Barbara", "Edsger", "Grace", "Ken", "Margaret"])
    start = chance.randrange(len(PROSE) - 2000)
    first, second = PROSE[start : start + 800], PROSE[start + 800 : start + 1500]
    return json.dumps(
        {
            "n": n,
            "author": author,
            "html": f'<article class="note" id="note-{n}"><header><h2>{author}</h2>'
            f'<time datetime="2026-11-28T12:{n % 60:02}">12:{n % 60:02}</time></header>'
            f"<p>{first}</p><p>{second}</p>"
            f'<footer><a href="/notes/{n}/reply">Reply</a></footer></article>',
        }
    )


EVENTS = {"tick": tick, "note": note}


class CompressingSink(DescriptorSink):
    """What is usually done: a compressor for each connection, flushed at each write."""

    __slots__ = ("_compressor",)

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._compressor = zlib.compressobj(6, zlib.DEFLATED, 31)

    def write(self, data):
        coded = self._compressor.compress(data)
        super().write(coded + self._compressor.flush(zlib.Z_SYNC_FLUSH))


def resident_bytes():
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


async def serve(mode, make, port_pipe, drain):
    """Publish as many events as the main process says, and measure what they cost."""
    if mode == PEER:
        heliograph.hub.connections.DescriptorSink = CompressingSink
    framing = Framing.CHUNKED if mode in CHUNKED else Framing.IDENTITY
    config = HubConfig(
        heartbeat_seconds=None,
        # Without its jitter compressors of all connections find the same matches.
        retry_ms=0,
        max_subscribers=20_000,
        max_subscribers_per_channel=20_000,
    )
    hub = Hub(open_broker("memory:", Retention(events=100, seconds=60)), config)
    await hub.open()
    memory = [resident_bytes()]
    accepting = asyncio.create_task(
        accept_all(
            port_pipe,
            lambda connection: hub.adopt(hub.admit(MODES[mode]), connection, HEAD, framing),
        )
    )
    await wait_for(port_pipe, "begin")
    # Nobody but this program needs to know when a pass is over.
    (audience,) = hub._feeds._audiences.values()  # noqa: SLF001
    memory.append(resident_bytes())
    published = 0
    while order := await asyncio.to_thread(port_pipe.recv):
        passes, together = order
        spent = 0
        for _ in range(passes):
            events = [Event(make(published + n)) for n in range(together)]
            published += together
            began = time.process_time_ns()
            for event in events:
                await hub.publish(["a"], event)
            # The broker hands over in the next turn of the loop, before this goes on.
            await asyncio.sleep(0)
            assert audience.feed.held_blocks == together, "not in one pass"
            while audience.feed.held_blocks:
                await asyncio.sleep(0)
            spent += time.process_time_ns() - began
            drain.send(published)
            received = await asyncio.to_thread(drain.recv)
        port_pipe.send((spent, received, published))
    drain.send(None)
    port_pipe.send([*memory, resident_bytes()])
    accepting.cancel()


def run_server(loop, *args):
    if loop == "uvloop":
        import uvloop

        uvloop.run(serve(*args))
    else:
        asyncio.run(serve(*args))


class Clients:
    """Connections that are given the same number of bytes, two of which are decoded."""

    def __init__(self, port, streams, is_coded):
        self.selector = selectors.DefaultSelector()
        self.buffer = memoryview(bytearray(1 << 18))
        self.is_coded = is_coded
        # Since the event that opens a stream.
        self.received = {}
        self.decoded = {}
        beginning = {}
        for _ in range(streams):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ)
            beginning[connection] = b""
        checked = {next(iter(beginning)), next(reversed(beginning))}
        while beginning:
            for connection, data in self.read():
                beginning[connection] += data
                decoder = Decoder(is_coded)
                if not decoder.opens(beginning[connection]):
                    continue
                del beginning[connection]
                self.received[connection] = 0
                if connection in checked:
                    self.decoded[connection] = decoder

    def read(self):
        for key, _ in self.selector.select():
            size = key.fileobj.recv_into(self.buffer)
            assert size, "a stream has ended"
            yield key.fileobj, bytes(self.buffer[:size])

    def drain(self, published):
        """Read until everybody has all events, and give the bytes of each."""
        while any(each.next_n < published for each in self.decoded.values()):
            self.take()
        while len(sizes := set(self.received.values())) > 1:
            self.take()
        return sizes.pop()

    def take(self):
        for connection, data in self.read():
            self.received[connection] += len(data)
            if connection in self.decoded:
                self.decoded[connection].take(data)


class Decoder:
    """What one client reads. The sizes of chunks are no lines that a parser knows."""

    def __init__(self, is_coded):
        self.inflate = zlib.decompressobj(wbits=31).decompress if is_coded else bytes
        self.parser = EventStreamParser()
        self.next_n = 0

    def opens(self, data):
        _, found, body = data.partition(b"\r\n\r\n")
        if not found:
            return False
        events = list(self.parser.feed(self.inflate(body)))
        return [event.type for event in events] == ["heliograph.open"]

    def take(self, data):
        for event in self.parser.feed(self.inflate(data)):
            assert json.loads(event.data)["n"] == self.next_n, "a hole"
            self.next_n += 1


def run_clients(port, streams, is_coded, server):
    clients = Clients(port, streams, is_coded)
    server.send("ready")
    while (published := server.recv()) is not None:
        server.send(clients.drain(published))


class Serving:
    """A server and its clients."""

    def __init__(self, loop, mode, make, streams):
        context = multiprocessing.get_context("spawn")
        self.pipe, server_end = context.Pipe()
        drain, clients_end = context.Pipe()
        self.server = context.Process(
            target=run_server, args=(loop, mode, make, server_end, drain)
        )
        self.server.start()
        is_coded = MODES[mode].coding is not Coding.IDENTITY or mode == PEER
        self.clients = context.Process(
            target=run_clients, args=(self.pipe.recv(), streams, is_coded, clients_end)
        )
        self.clients.start()
        assert drain.recv() == "ready"
        self.pipe.send("begin")
        self.streams = streams
        self.warm = self.bytes = self.events = 0

    def turn(self, passes, together):
        """Give nanoseconds for each delivery, and the bytes that a client received."""
        self.pipe.send((passes, together))
        spent, received, events = self.pipe.recv()
        before, self.bytes = self.bytes, received
        count, self.events = events - self.events, events
        return spent / count / self.streams, received - before

    def end(self):
        """Give the bytes of a stream of the server's memory: idle, and after traffic."""
        self.pipe.send(None)
        empty, idle, after = self.pipe.recv()
        self.stop()
        return (idle - empty) / self.streams, (after - empty) / self.streams

    def stop(self):
        for process in (self.server, self.clients):
            process.kill()
            process.join()


class Results:
    """What was measured for some streams and one kind of events."""

    def __init__(self, streams):
        self.streams = streams
        self.nanoseconds = {}
        self.bytes = {}
        self.whole = {}
        self.memory = {}

    def add(self, mode, together, nanoseconds, size):
        self.nanoseconds.setdefault((mode, together), []).append(nanoseconds)
        self.bytes.setdefault((mode, together), []).append(size)

    def times(self, mode, together):
        """Of each round, the time of a mode divided by that of identity."""
        pairs = zip(
            self.nanoseconds[mode, together],
            self.nanoseconds["identity", together],
            strict=True,
        )
        return sorted(time / plain for time, plain in pairs)

    def ratio(self, mode, together):
        plain = sum(self.bytes["identity", together])
        return plain / sum(self.bytes[mode, together])

    def whole_ratio(self, mode):
        return self.whole["identity"] / self.whole[mode]

    def print(self):
        head = "        ".join(f"{text:24}" for text in ("", "one by one", "in tens"))
        print(f"{head}\n{'':26}" + "   CPU us  x identity (spread)  ratio" * 2
              + "   whole run    KiB of a stream: idle, after")  # fmt: skip
        for mode in self.memory:
            cells = []
            for together in (1, TOGETHER):
                times = self.times(mode, together)
                cost = statistics.median(self.nanoseconds[mode, together]) / 1000
                cells.append(
                    f"{cost:9.2f} {statistics.median(times):6.2f}"
                    f" ({times[0]:5.2f}..{times[-1]:5.2f}) {self.ratio(mode, together):7.2f}"
                )
            idle, after = (size / 1024 for size in self.memory[mode])
            print(f"{mode:26}", *cells, f"{self.whole_ratio(mode):10.2f}",
                  f"{idle:17.1f} {after:8.1f}" if self.streams > 1 else "")  # fmt: skip

    def print_targets(self):
        if self.streams < FROM_STREAMS:
            return
        for together in (1, TOGETHER):
            limits = [(mode, MOST_TIME) for mode in ("blocks", "shared window")]
            limits += [(mode, MOST_TIME_OF_CHUNKS) for mode in CHUNKED]
            for mode, most in limits:
                found = statistics.median(self.times(mode, together))
                say(found <= most, f"{mode}, {together} at once: {found:.2f} times the"
                    f" CPU of identity, at most {most}")  # fmt: skip
            part = self.ratio("shared window", together) / self.ratio(PEER, together)
            say(part >= LEAST_OF_PEERS_RATIO, f"shared window, {together} at once:"
                f" {part:.2f} of the ratio of a {PEER}, at least"
                f" {LEAST_OF_PEERS_RATIO}")  # fmt: skip
        part = self.whole_ratio("shared window") / self.whole_ratio(PEER)
        print(f"  (for information: {part:.2f} of it from the first event on)")
        # Growth: idle streams of two servers of the same mode differ by more than this.
        window, plain = (
            after - idle
            for idle, after in (self.memory["shared window"], self.memory["identity"])
        )
        say(window - plain <= MOST_GROWTH_PER_STREAM, f"shared window: with traffic a"
            f" stream's memory grows by {window:.0f} bytes, identity {plain:.0f}, at most"
            f" {MOST_GROWTH_PER_STREAM} more")  # fmt: skip


def say(is_met, text):
    print(f"  {'met   ' if is_met else 'MISSED'} {text}")


def measure(loop, make, streams, rounds):
    results = Results(streams)
    serving = {}
    try:
        for mode in MODES:
            serving[mode] = Serving(loop, mode, make, streams)
        while serving["identity"].bytes < WARM_BYTES:
            for server in serving.values():
                server.turn(10, 1)
        for together in (1, TOGETHER):
            passes = max(1, min(TURN_EVENTS, TURN_DELIVERIES // streams) // together)
            order = list(serving)
            for _ in range(rounds):
                for mode in order:
                    results.add(mode, together, *serving[mode].turn(passes, together))
                order = [*order[1:], order[0]]
            if together == 1:
                results.whole = {mode: server.bytes for mode, server in serving.items()}
                events = serving["identity"].events
        size = results.whole["identity"] / events
        print(f"\n{streams} streams, {size:.0f} bytes an event, {events} one by one")
        results.memory = {mode: server.end() for mode, server in serving.items()}
    finally:
        for server in serving.values():
            server.stop()
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 100, 1000, 5000])
    parser.add_argument("--events", nargs="+", choices=EVENTS, default=[*EVENTS])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {options.loop}, zlib"
        f" {zlib.ZLIB_RUNTIME_VERSION}, {os.cpu_count()} cores, load"
        f" {os.getloadavg()[0]:.1f}"
    )
    for kind in options.events:
        for streams in options.streams:
            results = measure(options.loop, EVENTS[kind], streams, options.rounds)
            results.print()
            results.print_targets()


if __name__ == "__main__":
    main()
