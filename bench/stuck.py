"""
Readers that stopped cost the others nothing: latency with and without them, in one run.

4,500 clients read; then the same again beside 500 that do not, whose buffers are full. What
is compared is how late an event is for those that read; they must miss none.

    python bench/stuck.py [--readers 4500] [--stuck 500] [--rounds 3] [--seconds 6]

Machines are noisy: read the ratios, not the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import platform
import socket
import statistics

from bare_hub import HEAD, REQUEST, accept_all, event_data, wait_for
from load import Load

from heliograph import Event, HubConfig
from heliograph.brokers import Retention, open_broker
from heliograph.hub import Admission, Hub

EVENTS_PER_SECOND = 10
# Published before anything is measured: more than the buffers of a connection hold, less
# than what a client may be behind before it is cut off.
FILLING_EVENTS = 40
FILLING = "x" * 8000


async def serve(pipe):
    config = HubConfig(
        heartbeat_seconds=None, max_subscribers=20_000, max_subscribers_per_channel=20_000
    )
    hub = Hub(open_broker("memory:", Retention(events=1000, seconds=600)), config)
    await hub.open()
    accepting = asyncio.create_task(
        accept_all(
            pipe,
            lambda connection: hub.adopt(hub.admit(Admission(("a",))), connection, HEAD),
        )
    )
    await wait_for(pipe, "fill")
    number = 0
    while number < FILLING_EVENTS:
        number += 1
        await hub.publish(["a"], Event(event_data(number, FILLING)))
        # No faster than those that read can take it.
        await asyncio.sleep(0.4)
    pipe.send(hub.statistics().subscribers)
    await wait_for(pipe, "begin")
    while not pipe.poll():
        number += 1
        await hub.publish(["a"], Event(event_data(number)))
        await asyncio.sleep(1 / EVENTS_PER_SECOND)
    accepting.cancel()
    pipe.send((hub.statistics().subscribers, hub.statistics().lagging_disconnected))


def run_server(pipe):
    asyncio.run(serve(pipe))


def stop_reading(port, count):
    """Connections whose owner takes nothing more after the head."""
    stuck = []
    for _ in range(count):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.sendall(REQUEST)
        stuck.append(connection)
    return stuck


def measure(readers, stuck, seconds):
    """The latency of those that read."""
    context = multiprocessing.get_context("spawn")
    pipe, server_end = context.Pipe()
    server = context.Process(target=run_server, args=(server_end,))
    server.start()
    port = pipe.recv()
    try:
        with Load(port) as load:
            load.open(readers, REQUEST)
            held = stop_reading(port, stuck)
            pipe.send("fill")
            assert pipe.recv() == readers + stuck
            pipe.send("begin")
            load.run(1.5)
            run = load.run(seconds)
            assert (run.holes, run.repeats, run.silent, run.closed) == (0, 0, 0, 0)
            pipe.send("end")
            # Nobody was cut off meanwhile: those that are stuck were there all the time.
            assert pipe.recv() == (readers + stuck, 0)
            for connection in held:
                connection.close()
            return run.latency["a"]
    finally:
        server.kill()
        server.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--readers", type=int, default=4500)
    parser.add_argument("--stuck", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f}"
    )
    print(f"{options.readers} that read; latency p50 / p99 in ms: alone; beside"
          f" {options.stuck} that do not")  # fmt: skip
    found = {"alone": [], "beside": []}
    for _ in range(options.rounds):
        for name, stuck in (("alone", 0), ("beside", options.stuck)):
            latency = measure(options.readers, stuck, options.seconds)
            found[name].append((latency.p50, latency.p99))
        (alone, beside) = found["alone"][-1], found["beside"][-1]
        print(
            f"  {alone[0]:7.1f} / {alone[1]:7.1f}    {beside[0]:7.1f} / {beside[1]:7.1f}",
            flush=True,
        )
    for n, name in enumerate(("p50", "p99")):
        alone, beside = (statistics.median(pair[n] for pair in found[k]) for k in found)
        print(f"{name}, beside / alone: {beside / alone:.2f}")


if __name__ == "__main__":
    main()
