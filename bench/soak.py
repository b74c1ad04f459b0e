"""
A long run: clients come and go, events come, and nothing grows.

A server of its own process serves clients that stay for up to ten seconds: most close, some
reset their connection. One in ten listens to everything, reads nothing and stays for up to a
minute, so that many of them are given up. Every ten seconds the server's memory, descriptors
and threads are looked at; at the end the last third is set beside the second.

    python bench/soak.py [--minutes 10] [--clients 300] [--server gunicorn-gthread]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import statistics
import struct
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from servers import FALLBACK, TAKEN_OVER, publish, serving_with, subscribers, until

REQUEST = b"GET /stream?%s HTTP/1.1\r\nHost: bench\r\n%s\r\n"
CHANNELS = 10
STAY_SECONDS = 10.0
STUCK_SECONDS = 60.0
SAMPLE_SECONDS = 10.0


async def come_and_go(port, chance, counts, stopping):
    """One client after the other in the same place, each with the last id of the one before."""
    channel, last_id = b"channel=%d" % chance.randrange(CHANNELS), b""
    while not stopping.is_set():
        if chance.random() < 0.1:
            await be_stuck(port, chance, counts)
            continue
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            counts["refused"] += 1
            continue
        resume = b"Last-Event-ID: %s\r\n" % last_id if last_id else b""
        writer.write(REQUEST % (channel, resume))
        stay = chance.random() * STAY_SECONDS
        try:
            async with asyncio.timeout(stay):
                async for line in reader:
                    if line.startswith(b"id: "):
                        last_id = line[4:].strip()
                    elif line.startswith(b"data: "):
                        counts["events"] += 1
        except (TimeoutError, ConnectionError):
            pass
        if chance.random() < 0.2:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, linger
            )
        writer.close()
        counts["clients"] += 1


async def be_stuck(port, chance, counts):
    """A client that takes what fits into the smallest of buffers."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        every = b"&".join(b"channel=%d" % n for n in range(CHANNELS))
        await loop.sock_sendall(client, REQUEST % (every, b""))
        await asyncio.sleep(chance.random() * STUCK_SECONDS)
    counts["stuck"] += 1


async def publish_on(server, stopping):
    n = 0
    while not stopping.is_set():
        data = {"n": n, "padding": "x" * random.randrange(2000)}
        await asyncio.to_thread(publish, server, data, str(n % CHANNELS))
        n += 1
        await asyncio.sleep(0.02)


async def run(server, minutes, clients):
    chance, stopping = random.Random(1), asyncio.Event()
    counts = {"clients": 0, "events": 0, "refused": 0, "stuck": 0}
    tasks = [
        asyncio.create_task(come_and_go(server.port, chance, counts, stopping))
        for _ in range(clients)
    ]
    tasks.append(asyncio.create_task(publish_on(server, stopping)))
    samples = []
    for n in range(int(minutes * 60 / SAMPLE_SECONDS)):
        await asyncio.sleep(SAMPLE_SECONDS)
        sample = server.memory() / 1e6, server.descriptors(), server.threads()
        samples.append(sample)
        if n % 6 == 5:
            print(f"{(n + 1) / 6:4.0f} min  {sample[0]:6.1f} MB  {sample[1]:5d} descriptors"
                  f"  {sample[2]:3d} threads  {counts['clients']:8,d} clients"
                  f"  {counts['events']:10,d} events", flush=True)  # fmt: skip
    stopping.set()
    await asyncio.gather(*tasks)
    return samples, counts


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=10)
    arguments.add_argument("--clients", type=int, default=300)
    arguments.add_argument(
        "--server", default="gunicorn-gthread", choices=[*TAKEN_OVER, *FALLBACK]
    )
    options = arguments.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving_with(options.server, Path(folder)) as server,
    ):
        idle = server.descriptors(), server.threads()
        samples, counts = asyncio.run(run(server, options.minutes, options.clients))
        until(lambda: subscribers(server) == 0)
        print(f"{counts}; left open: {server.descriptors() - idle[0]} descriptors more than"
              f" before the first stream, {server.threads() - idle[1]} threads")  # fmt: skip
        print(json.loads(server.get("/statistics").text))
        assert "Traceback" not in server.log_text(), server.log_text()[-3000:]
    third = len(samples) // 3
    print("last third / second third:")
    for n, name in enumerate(("memory", "descriptors", "threads")):
        second, last = (
            statistics.median(sample[n] for sample in part)
            for part in (samples[third : 2 * third], samples[2 * third :])
        )
        print(f"  {name:12} {last:8.1f} / {second:8.1f} = {last / second:.3f}")


if __name__ == "__main__":
    main()
