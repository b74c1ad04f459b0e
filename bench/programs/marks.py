"""Events with the mark of the load generator, for all that publishes in Python."""

from __future__ import annotations

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
