"""
Publishes and listens at the same time as others do; prints a digest of all, in order.

Begins when it reads a line. Publishes in batches whose sizes follow a seed.
"""

import asyncio
import hashlib
import random
import sys

from heliograph import Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.sqlite import SqliteBroker


async def main(path, mine, everybodys, seed, *channels):
    chance = random.Random(seed)
    ear = RecordingListener()
    broker = SqliteBroker(path, Retention(events=100_000, seconds=86_400))
    await broker.open(ear)
    for channel in channels:
        await broker.listen(channel)
    print("listening", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    left = int(mine)
    while left:
        batch = min(left, chance.choice([1, 1, 1, 2, 5, 40]))
        left -= batch
        await asyncio.gather(
            *(
                broker.append(chance.choice(channels), Event(f"{seed}-{left}-{n}"))
                for n in range(batch)
            )
        )
        if chance.random() < 0.3:
            # The thread that reads is busy with something else meanwhile.
            await broker.read(channels[0], None, 100)
    await ear.wait_for_entries(int(everybodys))
    await broker.close()
    for channel in channels:
        numbers = ear.offsets(channel)
        assert numbers == list(range(1, len(numbers) + 1)), (channel, numbers)
    digest = hashlib.sha256()
    for entry in ear.entries:
        digest.update(f"{entry.channel} {entry.position} {entry.event.data}\n".encode())
    print(f"{len(ear.entries)} in order, once: {digest.hexdigest()}")


asyncio.run(main(*sys.argv[1:]))
