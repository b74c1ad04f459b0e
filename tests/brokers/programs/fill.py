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
    readable, page = 0, await broker.read("a", None, 100)
    while page.entries:
        readable += len(page.entries)
        page = await broker.read("a", page.entries[-1].position, 100)
    print("readable", readable)
    await broker.close()


asyncio.run(main(*sys.argv[1:]))
