"""
Fan-out over real sockets: the hub beside one queue and one task per client, in one run.

Two questions. How many deliveries a second when more is offered than can be done, and how
late an event is when little is offered. The load generator is a process of its own; it
compares every byte of every stream and checks that events come in order, without a hole.

    python bench/fanout.py [--streams 1000 5000] [--seconds 5]

A third one, by itself: what chunks cost. The same hub serves plain and chunked streams in
turns, as many events as it can send easily; its processor time for each delivery is compared.

    python bench/fanout.py --framing chunked [--streams 1000 5000] [--seconds 5] [--rounds 7]

Machines are noisy: read the ratios, not the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import multiprocessing
import os
import platform
import selectors
import socket
import statistics
import time

from heliograph import Event, EventStreamParser, HubConfig
from heliograph.brokers import Retention, open_broker
from heliograph.hub import Admission, Hub
from heliograph.wire.framing import Framing

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
PADDING = "x" * 40
# Deliveries a second that are offered to find the limit.
OFFERED = 40_000_000
QUIET_EVENTS_PER_SECOND = 10
# And to compare what one costs: a core can do more.
EASY = 50_000


def event_data(n):
    return f'{{"n":{n},"t":{time.monotonic_ns()},"p":"{PADDING}"}}'


async def accept_all(port_pipe, on_connection):
    """Accept connections and read their request heads."""
    loop = asyncio.get_running_loop()
    server = socket.create_server(("127.0.0.1", 0), backlog=4096)
    server.setblocking(False)
    port_pipe.send(server.getsockname()[1])
    while True:
        connection, _ = await loop.sock_accept(server)
        connection.setblocking(False)
        await loop.sock_recv(connection, 4096)
        on_connection(connection)


async def publish_at(events_per_second, publish):
    """Publish what is due, then let the loop go on."""
    began, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - began) * events_per_second)
        # Never so much at once that the rest of the loop starves.
        for _ in range(min(due - sent, 500)):
            await publish(event_data(sent))
            sent += 1
        await asyncio.sleep(0 if due > sent else 0.0005)


async def wait_for(pipe, word):
    while not pipe.poll():
        await asyncio.sleep(0.01)
    assert pipe.recv() == word


async def heliograph_server(port_pipe, events_per_second, framing=Framing.IDENTITY):
    config = HubConfig(
        heartbeat_seconds=None, max_subscribers=20_000, max_subscribers_per_channel=20_000
    )
    hub = Hub(open_broker("memory:", Retention(events=1000, seconds=60)), config)
    await hub.open()
    accepting = asyncio.create_task(
        accept_all(
            port_pipe,
            lambda connection: hub.adopt(
                hub.admit(Admission(("a",))), connection, HEAD, framing
            ),
        )
    )
    await wait_for(port_pipe, "begin")

    async def publish(data):
        await hub.publish(["a"], Event(data))

    await publish_at(events_per_second, publish)
    await accepting


async def queue_server(port_pipe, events_per_second):
    """What is usually written: a queue and a task for each client."""
    queues, tasks = set(), set()

    async def serve(connection):
        _, writer = await asyncio.open_connection(sock=connection)
        queue = asyncio.Queue()
        writer.write(HEAD + b":\nretry: 1\n\nid: 0\n\n")
        queues.add(queue)
        try:
            while True:
                writer.write(await queue.get())
                await writer.drain()
        finally:
            queues.discard(queue)

    def on_connection(connection):
        task = asyncio.create_task(serve(connection))
        tasks.add(task)

    accepting = asyncio.create_task(accept_all(port_pipe, on_connection))
    await wait_for(port_pipe, "begin")
    count = 0

    async def publish(data):
        nonlocal count
        count += 1
        block = f"id: {count}\ndata: {data}\n\n".encode()
        for queue in queues:
            queue.put_nowait(block)
        await asyncio.sleep(0)

    await publish_at(events_per_second, publish)
    await accepting


# The head does not say that there are chunks; the load is told.
FRAMINGS = {
    f"heliograph, {framing.value}": (
        functools.partial(heliograph_server, framing=framing),
        False,
    )
    for framing in Framing
}
SERVERS = {
    "heliograph, asyncio": (heliograph_server, False),
    "heliograph, uvloop": (heliograph_server, True),
    "queue and task per client, asyncio": (queue_server, False),
    "queue and task per client, uvloop": (queue_server, True),
}


def run_server(name, port_pipe, events_per_second):
    function, with_uvloop = (SERVERS | FRAMINGS)[name]
    if with_uvloop:
        import uvloop

        uvloop.run(function(port_pipe, events_per_second))
    else:
        asyncio.run(function(port_pipe, events_per_second))


class Load:
    """Connections that are all given the same bytes, and a check that they are."""

    def __init__(
        self, port, streams, request=b"GET / HTTP/1.1\r\n\r\n", *, is_chunked=False
    ):
        # Of each connection what has come of a chunk that is not whole.
        self.parts = {} if is_chunked else None
        self.selector = selectors.DefaultSelector()
        self.parser = EventStreamParser()
        self.next_n = 0
        # What the streams have in common, from `base` on, as the furthest has it.
        self.reference = bytearray()
        self.base = 0
        self.position = {}
        self.beginning = {}
        self.latencies = []
        self.measure = False
        self.buffer = memoryview(bytearray(1 << 18))
        for _ in range(streams):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(request)
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ)
            self.beginning[connection] = b""
        while self.beginning:
            self.poll(1)

    def poll(self, timeout):
        for key, _ in self.selector.select(timeout):
            connection = key.fileobj
            try:
                size = connection.recv_into(self.buffer)
            except BlockingIOError:
                continue
            assert size, "a stream has ended"
            data = bytes(self.buffer[:size])
            if self.parts is not None:
                data = self.without_chunks(connection, data)
            if connection in self.beginning:
                self.begin(connection, data)
            else:
                self.take(connection, data)

    def without_chunks(self, connection, data):
        data = self.parts.get(connection, b"") + data
        head, found, rest = data.partition(b"\r\n\r\n")
        body = b""
        if found and data.startswith(b"HTTP/"):
            body, data = head + found, rest
        while b"\r\n" in data:
            size, _, rest = data.partition(b"\r\n")
            end = int(size, 16)
            if len(rest) < end + 2:
                break
            body += rest[:end]
            data = rest[end + 2 :]
        self.parts[connection] = data
        return body

    def begin(self, connection, data):
        # Everything up to the place is the client's own.
        data = self.beginning[connection] + data
        _, place, rest = data.partition(b"\nid: ")
        _, end, rest = rest.partition(b"\n\n")
        self.beginning[connection] = data
        if place and end:
            del self.beginning[connection]
            self.position[connection] = 0
            if rest:
                self.take(connection, rest)

    def take(self, connection, data):
        start = self.position[connection] - self.base
        known = self.reference[start : start + len(data)]
        if known:
            assert known == data[: len(known)], "two streams differ"
        if len(known) < len(data):
            fresh = data[len(known) :]
            self.reference += fresh
            self.check(fresh)
        self.position[connection] += len(data)
        if self.measure:
            place = data.rfind(b'"t":')
            if place >= 0 and (end := data.find(b",", place)) > 0:
                self.latencies.append(time.monotonic_ns() - int(data[place + 4 : end]))

    def check(self, fresh):
        for event in self.parser.feed(fresh):
            assert json.loads(event.data)["n"] == self.next_n, "a hole"
            self.next_n += 1

    def trim(self):
        slowest = min(self.position.values())
        del self.reference[: slowest - self.base]
        self.base = slowest

    def run(self, seconds):
        ends = time.monotonic() + seconds
        trims = time.monotonic() + 0.2
        while (now := time.monotonic()) < ends:
            self.poll(0.1)
            if now > trims:
                self.trim()
                trims = now + 0.2

    def received(self):
        return sum(self.position.values())


def processor_seconds(pid):
    # What clock_getcpuclockid(3) returns for a process: Python has it for threads only.
    return time.clock_gettime((~pid << 3) | 2)


def run_load(port, streams, seconds, pipe, results, quiet, server, is_chunked):
    load = Load(port, streams, is_chunked=is_chunked)
    pipe.send("ready")
    load.run(1.5)
    load.measure = quiet
    before, began = load.received(), time.monotonic()
    spent = processor_seconds(server)
    load.run(seconds)
    took = time.monotonic() - began
    spent = processor_seconds(server) - spent
    received = load.received() - before
    load.measure = False
    # Streams are identical and events of one size: bytes tell how many were delivered.
    size = (load.base + len(load.reference)) / max(1, load.next_n)
    deliveries = received / size
    results.send((deliveries / took, load.latencies, spent / deliveries))


def measure(name, streams, events_per_second, seconds, *, quiet):
    context = multiprocessing.get_context("spawn")
    server_pipe, server_end = context.Pipe()
    load_pipe, load_end = context.Pipe()
    server = context.Process(target=run_server, args=(name, server_end, events_per_second))
    server.start()
    load = context.Process(
        target=run_load,
        args=(
            server_pipe.recv(),
            streams,
            seconds,
            load_end,
            load_end,
            quiet,
            server.pid,
            name == f"heliograph, {Framing.CHUNKED.value}",
        ),
    )
    load.start()
    load_end.close()
    try:
        assert load_pipe.recv() == "ready"
        server_pipe.send("begin")
        return load_pipe.recv()
    finally:
        load.join()
        server.kill()
        server.join()


def compare_framings(options):
    """Print what a delivery costs in chunks, beside one without, in turns."""
    print(f"microseconds of the processor for each delivery, {EASY:,} a second; ratio")
    for streams in options.streams:
        ratios = []
        for _ in range(options.rounds):
            costs = {}
            # The second one of a round goes first in the next.
            for name in sorted(FRAMINGS, reverse=len(ratios) % 2 == 1):
                _, _, costs[name] = measure(
                    name, streams, EASY / streams, options.seconds, quiet=False
                )
            plain, chunked = (costs[name] * 1e6 for name in FRAMINGS)
            ratios.append(chunked / plain)
            print(
                f"{streams:>5} streams: identity {plain:.2f}, chunked {chunked:.2f},"
                f" ratio {ratios[-1]:.3f}",
                flush=True,
            )
        print(f"{streams:>5} streams: median ratio {statistics.median(ratios):.3f}"
              f" ({min(ratios):.3f} to {max(ratios):.3f})")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--streams", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--framing", choices=["chunked"])
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f}"
    )
    if options.framing is not None:
        compare_framings(options)
        return
    print(
        f"\n{'saturated, deliveries a second':40}",
        *(f"{n:>8} streams" for n in options.streams),
    )
    rates = {}
    for name in SERVERS:
        for streams in options.streams:
            rates[name, streams], _, _ = measure(
                name, streams, OFFERED / streams, options.seconds, quiet=False
            )
        print(
            f"{name:40}",
            *(f"{rates[name, streams]:>16,.0f}" for streams in options.streams),
            flush=True,
        )
    for loop in ("asyncio", "uvloop"):
        ratios = [
            rates[f"heliograph, {loop}", n] / rates[f"queue and task per client, {loop}", n]
            for n in options.streams
        ]
        print(f"{f'ratio, {loop}':40}", *(f"{ratio:>15.1f}x" for ratio in ratios))
    print(f"\n{QUIET_EVENTS_PER_SECOND} events a second, latency p50 / p99 in ms")
    for name in SERVERS:
        cells = []
        for streams in options.streams:
            _, latencies, _ = measure(
                name, streams, QUIET_EVENTS_PER_SECOND, options.seconds, quiet=True
            )
            cuts = statistics.quantiles(latencies, n=100)
            cells.append(f"{cuts[49] / 1e6:.1f} / {cuts[98] / 1e6:.1f}")
        print(f"{name:40}", *(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
