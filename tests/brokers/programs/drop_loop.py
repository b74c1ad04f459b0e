"""Listens on a Redis, and ends without closing its broker or its loop."""

import asyncio
import sys

from heliograph.brokers import Retention, open_broker
from heliograph.brokers.contract import RecordingListener


async def main(url):
    broker = open_broker(url, Retention(events=9, seconds=9))
    await broker.open(RecordingListener())
    await broker.listen("a")
    print("listening", flush=True)


asyncio.new_event_loop().run_until_complete(main(sys.argv[1]))
