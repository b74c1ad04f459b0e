"""
Listen to a Redis on whose channels somebody publishes what is none of ours.

The messages come on standard input, one a line, as JSON. What was heard afterwards is written
to standard output.
"""

import asyncio
import json
import sys

import redis

from heliograph import Event
from heliograph.brokers import open_broker


class Ear:
    def __init__(self):
        self.heard = []
        self.connection = []

    def on_entries(self, entries):
        self.heard += [f"{entry.channel} {entry.position.offset}" for entry in entries]

    def on_restart(self, channel, start, *, gap):
        pass

    def on_connection(self, *, up, reason):
        self.connection.append(up)


async def main():
    url = sys.argv[1]
    ear = Ear()
    broker = open_broker(url)
    await broker.open(ear)
    for name in ("a", "b"):
        await broker.listen(name)
    with redis.Redis.from_url(url) as client:
        for line in sys.stdin:
            client.publish("heliograph:{a}:live", json.loads(line))
    for name in ("a", "b"):
        await broker.append(name, Event("x"))
        while f"{name} 1" not in ear.heard:
            await asyncio.sleep(0.01)
    await broker.close()
    optimized = not __debug__
    print(
        json.dumps(
            {"optimized": optimized, "heard": ear.heard, "connection": ear.connection}
        )
    )


asyncio.run(main())
