"""Publishes as somebody who may not write the file."""

import asyncio
import os
import sys

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers import Retention
from heliograph.brokers.sqlite import SqliteBroker


async def main(path, user):
    os.setgid(int(user))
    os.setuid(int(user))
    broker = SqliteBroker(path, Retention(events=9, seconds=9))
    await broker.open(lambda entries: None)
    try:
        await broker.append("a", Event("x"))
    except BrokerUnavailableError as error:
        print(error)
    await broker.close()


asyncio.run(main(*sys.argv[1:]))
