"""Publishes until it is killed; prints what has returned."""

import asyncio
import itertools
import sys

from heliograph import Event
from heliograph.brokers import Retention
from heliograph.brokers.sqlite import SqliteBroker


async def main(path, me):
    broker = SqliteBroker(path, Retention(events=1_000_000, seconds=86_400))
    await broker.open(lambda entries: None)
    for first in itertools.count(0, 3):
        entries = await asyncio.gather(
            *(broker.append("a", Event(f"{me}-{n}")) for n in range(first, first + 3))
        )
        for entry in entries:
            print(entry.position.offset, entry.event.data, flush=True)


asyncio.run(main(*sys.argv[1:]))
