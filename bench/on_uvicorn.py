"""
uvicorn: connections that are taken over beside a task for each stream, in one run.

What is compared is the server's processor time for each delivery. Every byte of every
stream is compared, as in fanout.py.

    python bench/on_uvicorn.py [--streams 1000] [--events 300] [--rounds 3]

Machines are noisy: read the ratios, not the figures.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from fanout import Load

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from servers import publish, serving, uvicorn

# Chunked nevertheless: the sizes are no lines that an event stream knows, and do no harm.
REQUEST = b"GET /stream HTTP/1.1\r\nHost: bench\r\n\r\n"
PADDING = "x" * 40
LOOPS = ("asyncio", "uvloop")


def processor_seconds(server):
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def measure(loop, take_over, streams, events):
    """Give microseconds of the processor for each delivery."""
    env = {
        "APP_SSE_TAKE_OVER": take_over,
        "APP_SSE_URL": "memory:",
        "APP_SSE_MAX_SUBSCRIBERS": "20000",
        "APP_SSE_MAX_SUBSCRIBERS_PER_CHANNEL": "20000",
    }
    command = uvicorn("streams:app", "--loop", loop, "--log-level", "warning")
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(command, Path(folder), env=env) as server,
    ):
        load = Load(server.port, streams, REQUEST)
        # What publishing costs over HTTP is the same for both: it is measured and taken off.
        alone = [processor_seconds(server)]
        for _ in range(events):
            publish(server, {}, "nobody")
        alone.append(processor_seconds(server))
        began = processor_seconds(server)
        for n in range(events):
            data = {"n": n, "t": time.monotonic_ns(), "p": PADDING}
            publish(server, data)
            while load.next_n <= n or len(set(load.position.values())) > 1:
                load.poll(0.1)
        spent = processor_seconds(server) - began - (alone[1] - alone[0])
        return spent / (events * streams) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f}"
    )
    print(f"{options.streams} streams; microseconds of the processor for each delivery")
    for loop in LOOPS:
        found = {
            how: [
                measure(loop, how, options.streams, options.events)
                for _ in range(options.rounds)
            ]
            for how in ("true", "false")
        }
        taken, tasks = (statistics.median(found[how]) for how in ("true", "false"))
        spread = ", ".join(f"{value:.1f}" for how in found for value in sorted(found[how]))
        print(f"{loop:8} taken over {taken:.1f}, a task each {tasks:.1f}:"
              f" {tasks / taken:.1f} times as much ({spread})", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
