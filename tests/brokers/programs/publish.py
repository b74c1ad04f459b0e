"""Publishes so many events to some channels, some at a time."""

import asyncio
import sys

from heliograph import Event
from heliograph.brokers import Retention
from heliograph.brokers.sqlite import SqliteBroker

AT_ONCE = 20


async def main(path, count, me, *channels):
    broker = SqliteBroker(path, Retention(events=100_000, seconds=86_400))
    await broker.open(lambda entries: None)
    for first in range(0, int(count), AT_ONCE):
        await asyncio.gather(
            *(
                broker.append(channels[n % len(channels)], Event(f"{me}-{n}"))
                for n in range(first, first + AT_ONCE)
            )
        )
    await broker.close()


asyncio.run(main(*sys.argv[1:]))
