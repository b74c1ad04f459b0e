"""Listens until it has heard so many events; checks order and holes; prints a digest."""

import asyncio
import hashlib
import sys
from types import SimpleNamespace

from heliograph.brokers import Retention
from heliograph.brokers.sqlite import SqliteBroker


async def main(path, count, *channels):
    heads, digests, heard = {}, {}, 0
    done = asyncio.Event()

    def listener(entries):
        nonlocal heard
        for entry in entries:
            assert entry.position.offset == heads[entry.channel] + 1, entry
            heads[entry.channel] += 1
            digests[entry.channel].update(entry.event.data.encode())
            heard += 1
        if heard >= int(count):
            done.set()

    broker = SqliteBroker(path, Retention(events=100_000, seconds=86_400))
    await broker.open(SimpleNamespace(on_entries=listener))
    for channel in channels:
        digests[channel] = hashlib.sha256()
        heads[channel] = (await broker.listen(channel)).offset
    print("listening", flush=True)
    await done.wait()
    await broker.close()
    print(f"{heard} in order, once:", *(digests[name].hexdigest() for name in channels))


asyncio.run(main(*sys.argv[1:]))
