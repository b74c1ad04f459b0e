"""
Events that a Python client parses and delivers: ours beside httpx-sse and aiohttp-sse-client.

    python bench/client.py [--rounds 5] [--events 60000]

A server in a process of its own sends the same bytes to each client as fast as it reads them;
then it answers 204. Each client runs in a process of its own, and takes turns with the others.
What counts is the client's CPU time for one event, between its first and its last one: it
depends less on what else the machine does than elapsed time. Rates are those of each client's
fastest round, which is the least disturbed one. The ratio is how many times the events of
a client ours delivers in the same CPU time; in brackets the smallest and the largest ratio of
a round.

Three streams: `small`, 60 bytes an event, in pieces of 64 KiB as a client sees that has fallen
behind; `single`, each event in a chunk and a segment of its own, as it is when nothing waits;
`text`, events of 1 KB with a type.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import threading
import time

STREAMS = ("small", "single", "text")
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)


def event(stream, n):
    if stream == "text":
        data = json.dumps({"n": n, "text": "äöü lorem ipsum " * 55}, ensure_ascii=False)
        return f"id: jGywGjhR.UbcDilnP-{n}\nevent: article\ndata: {data}\n\n".encode()
    return b'id: jGywGjhR.UbcDilnP-%d\ndata: {"room": 5, "n": %d}\n\n' % (n, n)


def pieces(stream, events):
    """What is sent at once: chunks, each with its size."""
    if stream == "single":
        for n in range(events):
            one = event(stream, n)
            yield b"%x\r\n%s\r\n" % (len(one), one)
        return
    whole = b"".join(event(stream, n) for n in range(events))
    for start in range(0, len(whole), 65_536):
        piece = whole[start : start + 65_536]
        yield b"%x\r\n%s\r\n" % (len(piece), piece)


def serve(stream, events):
    """Write the port, and serve streams until stdin ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    ready = list(pieces(stream, events))

    def answer(connection):
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = b""
            while b"\r\n\r\n" not in request:
                received = connection.recv(65_536)
                if not received:
                    return
                request += received
            if b"last-event-id" in request.lower():
                connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                return
            connection.sendall(HEAD)
            for piece in ready:
                connection.sendall(piece)
            connection.sendall(b"0\r\n\r\n")

    def accept():
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


class Count:
    """CPU time between the first event and the last one."""

    def __init__(self, events):
        self.left = events
        self.events = events

    def __call__(self, data):  # noqa: ARG002 - what a program would use
        if self.left == self.events:
            self.begin = time.process_time()
        self.left -= 1
        if not self.left:
            self.seconds = time.process_time() - self.begin
        return not self.left


def ours(url, count):
    from heliograph.client import EventSource

    with EventSource(url) as source:
        for one in source:
            if count(one.data):
                break


def ours_async(url, count):
    import asyncio

    from heliograph.client import AsyncEventSource

    async def main():
        async with AsyncEventSource(url) as source:
            async for one in source:
                if count(one.data):
                    break

    asyncio.run(main())


def httpx_sse(url, count):
    import httpx
    from httpx_sse import connect_sse

    with httpx.Client() as client, connect_sse(client, "GET", url) as source:
        for one in source.iter_sse():
            if count(one.data):
                break


def httpx_sse_async(url, count):
    import asyncio

    import httpx
    from httpx_sse import aconnect_sse

    async def main():
        async with (
            httpx.AsyncClient() as client,
            aconnect_sse(client, "GET", url) as source,
        ):
            async for one in source.aiter_sse():
                if count(one.data):
                    break

    asyncio.run(main())


def aiohttp_sse_client(url, count):
    import asyncio

    from aiohttp_sse_client.client import EventSource

    async def main():
        async with EventSource(url) as source:
            async for one in source:
                if count(one.data):
                    break

    asyncio.run(main())


CLIENTS = {
    "ours": ours,
    "httpx-sse": httpx_sse,
    "ours, async": ours_async,
    "httpx-sse, async": httpx_sse_async,
    "aiohttp-sse-client": aiohttp_sse_client,
}
# Which of ours stands beside which of the others.
BESIDE = {
    "httpx-sse": "ours",
    "httpx-sse, async": "ours, async",
    "aiohttp-sse-client": "ours, async",
}


def run_client(name, url, events):
    count = Count(events)
    CLIENTS[name](url, count)
    if count.left:
        raise SystemExit(f"{name}: {count.left} of {events} events are missing")
    print(count.seconds / (events - 1))


def measure(name, port, events):
    """Seconds of CPU for an event, in a new process."""
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, __file__, "--client", name, "--url", url]
    run = subprocess.run(
        [*command, "--events", str(events)], check=True, capture_output=True, text=True
    )
    return float(run.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.events)
    elif options.client:
        run_client(options.client, options.url, options.events)
    else:
        for stream in STREAMS:
            compare(stream, options.rounds, options.events)


def compare(stream, rounds, events):
    command = [sys.executable, __file__, "--serve", stream, "--events", str(events)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        port = int(server.stdout.readline())
        times = {name: [] for name in CLIENTS}
        for _ in range(rounds):
            for name in CLIENTS:
                times[name].append(measure(name, port, events))
        server.stdin.close()
    print(f"\n{stream:<20} events/s of CPU    ours delivers, times")
    for name in CLIENTS:
        rate = 1 / min(times[name])
        line = f"{name:<20} {rate:>15,.0f}"
        if name in BESIDE:
            mine = times[BESIDE[name]]
            ratios = [a / b for a, b in zip(times[name], mine, strict=True)]
            line += (
                f"    {min(times[name]) / min(mine):.2f}"
                f" ({min(ratios):.2f} to {max(ratios):.2f})"
            )
        print(line, flush=True)


if __name__ == "__main__":
    main()
