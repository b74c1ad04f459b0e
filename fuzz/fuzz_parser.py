"""
Fuzz target: the parser takes any bytes, or raises its documented error.

``python fuzz/fuzz_parser.py [seconds]`` mutates streams for a while. With atheris
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
]


def fuzz_one_input(data: bytes) -> None:
    """
    Feed bytes whole and in pieces: the same events, or the documented error.

    Args:
        data: The first byte says how long the pieces are, the rest is the stream.
    """
    size = 1 + (data[0] if data else 0)
    stream = data[1:]
    whole = _events(stream, len(stream) or 1)
    pieces = _events(stream, size)
    assert whole == pieces, (data, whole, pieces)  # noqa: S101 - the property


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


def main(seconds: float) -> int:
    """
    Mutate streams for a while.

    Args:
        seconds: For how long.

    Returns:
        How many inputs were tried.
    """
    chance = random.Random()  # noqa: S311 - inputs, not secrets
    end = time.monotonic() + seconds
    tried = 0
    while time.monotonic() < end:
        data = bytearray(chance.randbytes(1) + b"".join(chance.choices(SEEDS, k=3)))
        for _ in range(chance.randrange(12)):
            place = chance.randrange(len(data))
            data[place : place + chance.randrange(3)] = chance.randbytes(
                chance.randrange(3)
            )
            data = data or bytearray(b"\0")
        fuzz_one_input(bytes(data))
        tried += 1
    return tried


if __name__ == "__main__":
    print(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0), "inputs")
