"""What is usually written to reach all clients: a queue for each."""

import asyncio
import collections
import contextlib

channels = collections.defaultdict(set)


@contextlib.contextmanager
def listening(channel):
    """Provide a queue of what is published to a channel meanwhile."""
    queue = asyncio.Queue()
    channels[channel].add(queue)
    try:
        yield queue
    finally:
        channels[channel].discard(queue)
        if not channels[channel]:
            del channels[channel]


def publish(channel, event):
    """Give an event to all who listen."""
    for queue in channels.get(channel, ()):
        queue.put_nowait(event)
