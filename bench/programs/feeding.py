"""
Publish through a broker, in a process of its own: events with the mark of the load generator.

    python bench/programs/feeding.py URL --at-once 100 --seconds 3 [--rate 100]

It says "ready" when the broker is open, begins when it is sent a line, and prints JSON: how many
were published in how many seconds of wall and of processor time. Without a rate it publishes as
fast as it can, `--at-once` calls being in progress.
"""

from __future__ import annotations

import argparse
import asyncio

import uvloop
from pace import as_fast_as_it_can, event, pauses, when_told

from heliograph import HubConfig
from heliograph.publisher import AsyncPublisher


async def paced(publish, seconds, rate):
    """Publish at a rate and return how many."""
    number = 0
    for number, pause in enumerate(pauses(rate, seconds), 1):
        await asyncio.sleep(pause)
        await publish(number)
    return number


async def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("url")
    parser.add_argument("--channel", default="a")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--padding", type=int, default=40)
    parser.add_argument("--first", type=int, default=1, help="number of the first event")
    parser.add_argument("--history", type=int, default=1000)
    options = parser.parse_args()
    before = options.first - 1
    config = HubConfig(history_events=options.history)
    async with AsyncPublisher(options.url, config=config) as publisher:
        await publisher.publish("ready", channel="nobody")

        async def publish(number):
            data = event(before + number, options.padding)
            await publisher.publish(data, channel=options.channel)

        if options.rate:
            await when_told(lambda: paced(publish, options.seconds, options.rate))
        else:
            await when_told(
                lambda: as_fast_as_it_can(publish, options.seconds, options.at_once)
            )


uvloop.run(main())
