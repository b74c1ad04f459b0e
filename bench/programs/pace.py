"""What all that publishes in Python shares: events with their marks, and when to publish them."""

from __future__ import annotations

import asyncio
import json
import sys
import time

# As in bench/load.py.
_STAMPS = 10**16


def event(number, padding=40):
    """Data of one event. Latency counts from now."""
    mark = f"~n{number:012}t{time.monotonic_ns() % _STAMPS:016}~"
    return f'{{"m":"{mark}","p":"{"x" * padding}"}}'


def pauses(rate, seconds):
    """For each event at a rate, how many seconds to wait for it."""
    began = time.monotonic()
    for n in range(int(seconds * rate)):
        yield max(0, began + n / rate - time.monotonic())


async def as_fast_as_it_can(publish, seconds, at_once):
    """Publish for some seconds, so many calls being in progress, and return how many."""
    ends, published = time.monotonic() + seconds, 0

    async def go_on():
        nonlocal published
        while time.monotonic() < ends:
            published += 1
            await publish(published)

    await asyncio.gather(*(go_on() for _ in range(at_once)))
    return published


async def when_told(run):
    """
    Say "ready", wait for a line, and print as JSON what `run` took.

    Args:
        run: Publishes, and returns how many events.
    """
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu_began = time.monotonic(), time.process_time()
    found = {
        "published": await run(),
        "seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - cpu_began,
    }
    print(json.dumps(found), flush=True)
