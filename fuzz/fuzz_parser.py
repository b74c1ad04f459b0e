"""
Fuzz target: the parser takes any bytes, or raises its documented error.

``python fuzz/fuzz_parser.py [seconds [seed]]`` mutates streams for a while. With atheris
installed, ``atheris.Setup(sys.argv, fuzz_one_input)`` runs the same target by coverage.
"""

from __future__ import annotations

import random
import sys
import time

from heliograph import Event, EventStreamParser, EventTooLargeError

SEEDS = [
    b"data: a\nid: 1\nevent: t\nretry: 5\n\n",
    b"\xef\xbb\xbfdata:x\r\rdata\r\n\r\n",
    b": c\nid: \0\n\ndata: \xff\xfe\n\n",
    b"retry: 99999999999999999999999999\n\n",
    # Some bytes more, or a line end less, and it is too large.
    b"data: " + b"y" * 57 + b"\n\n",
]


def fuzz_one_input(data: bytes) -> None:
    """
    Feed bytes whole and in pieces: the same events, or the documented error.

    Args:
        data: The first byte says how long the pieces are, the rest is the stream.
    """
    _compared(data)


def _compared(data: bytes) -> tuple[list[Event], bool]:
    size = 1 + (data[0] if data else 0)
    stream = data[1:]
    whole = _events(stream, len(stream) or 1)
    pieces = _events(stream, size)
    assert whole == pieces, (data, whole, pieces)  # noqa: S101 - the property
    return whole


def _events(stream: bytes, size: int) -> tuple[list[Event], bool]:
    parser = EventStreamParser(max_event_bytes=64)
    events: list[Event] = []
    try:
        for start in range(0, len(stream), size):
            events += parser.feed(stream[start : start + size])
        parser.feed(b"")
    except EventTooLargeError:
        return events, True
    return events, False


def main(seconds: float, seed: int | None = None) -> dict[str, int]:
    """
    Mutate streams for a while.

    Args:
        seconds: The time after which no further input is tried.
        seed: The seed that a run has printed, to repeat it; :obj:`None` for a new one.

    Returns:
        The number of inputs that were tried, of those that had events, and of those that
        were too large.
    """
    seed = random.randrange(2**32) if seed is None else seed  # noqa: S311 - no secret
    print(f"seed {seed}")
    chance = random.Random(seed)  # noqa: S311 - inputs, not secrets
    end = time.monotonic() + seconds
    counts = {"inputs": 0, "with events": 0, "too large": 0}
    while time.monotonic() < end:
        data = bytearray(chance.randbytes(1) + b"".join(chance.choices(SEEDS, k=3)))
        for _ in range(chance.randrange(12)):
            place = chance.randrange(len(data))
            data[place : place + chance.randrange(3)] = chance.randbytes(
                chance.randrange(3)
            )
            data = data or bytearray(b"\0")
        events, is_too_large = _compared(bytes(data))
        counts["inputs"] += 1
        counts["with events"] += bool(events)
        counts["too large"] += is_too_large
    return counts


if __name__ == "__main__":
    print(
        main(
            float(sys.argv[1]) if len(sys.argv) > 1 else 10.0,
            int(sys.argv[2]) if len(sys.argv) > 2 else None,  # noqa: PLR2004 - the second
        )
    )
