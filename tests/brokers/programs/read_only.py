"""Publishes as somebody who may not write the file."""

import asyncio
import os
import sys

from heliograph import BrokerUnavailableError, ConfigError, Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.sqlite import SqliteBroker


async def main(path, user):
    os.setgid(int(user))
    os.setuid(int(user))
    broker = SqliteBroker(path, Retention(events=9, seconds=9))
    try:
        await broker.open(RecordingListener())
        await broker.append("a", Event("x"))
    except (BrokerUnavailableError, ConfigError) as error:
        print(type(error).__name__, error)


asyncio.run(main(*sys.argv[1:]))
