"""Publishes until the disk is full; says what happened, and whether reading still works."""

import asyncio
import sys

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers import Retention
from heliograph.brokers.sqlite import SqliteBroker


async def main(path):
    broker = SqliteBroker(path, Retention(events=100_000, seconds=86_400))
    await broker.open(lambda entries: None)
    stored = 0
    try:
        while True:
            await broker.append("a", Event("x" * 1000))
            stored += 1
    except BrokerUnavailableError as error:
        print(stored)
        print(error)
    history = await broker.read("a", None, 1_000_000)
    print("readable", len(history.entries))
    await broker.close()


asyncio.run(main(*sys.argv[1:]))
