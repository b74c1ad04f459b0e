"""
Where the time goes that Heliograph itself needs: a write of a pass, a publish, an idle stream.

    python bench/programs/hot_path.py [URL]

A pass over 1,000 streams is measured with a system call that does nothing in place of `send`. A
publish, 100 at a time, is measured through the broker of the URL, and with parts of it replaced by
a result that is there at once: the Redis that answers, then the whole broker. What is missing then
is what these cost. The least of several rounds counts.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import sys
import time
from unittest import mock

import uvloop

from heliograph.brokers.redis.broker import RedisBroker
from heliograph.brokers.redis.pipe import Pipe
from heliograph.channels.cursor import Cursor
from heliograph.channels.entry import Entry
from heliograph.channels.position import Position
from heliograph.hub.flushing import flush_together
from heliograph.hub.sinks import descriptor
from heliograph.hub.subscriber import Subscriber
from heliograph.publisher import AsyncPublisher
from heliograph.wire.framing import Framing

STREAMS = 1000
ROUNDS = 8
AT_ONCE, EACH = 100, 60


class Feed:
    """As much of a feed as a pass asks of it."""

    def take_together(self, _):
        return b"x" * 126


def least(function):
    """The least time of several calls, in microseconds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times) * 1e6


def subscriber_of(connection, keeper):
    sink = descriptor.DescriptorSink(connection.fileno(), Framing.IDENTITY, keeper, b"")
    found = Subscriber(
        1, ("a",), None, address=None, expires_at=None, admitted_at=0.0, observers=()
    )
    found.sink, found.cursor = sink, Cursor(5, is_settled=True)
    return found


def ignore(*_):
    pass


def passes():
    """Microseconds of a pass for each stream, with a call that does nothing."""
    pairs = [socket.socketpair() for _ in range(STREAMS)]
    subscribers = [subscriber_of(one, None) for one, _ in pairs]
    nothing = ctypes.PyDLL(None).getppid
    with (
        mock.patch.object(descriptor, "_send", nothing),
        # It returns another number than that of the bytes.
        mock.patch.object(descriptor.DescriptorSink, "_continue", ignore),
    ):
        took = least(lambda: flush_together(Feed(), subscribers)) / STREAMS
    for pair in pairs:
        for one in pair:
            one.close()
    return took


async def publishes(url):
    """Microseconds of processor time for each publish."""
    async with AsyncPublisher(url) as publisher:

        async def publish():
            for _ in range(EACH):
                await publisher.publish("x" * 60, channel="a")

        times = []
        for _ in range(ROUNDS):
            began = time.process_time()
            await asyncio.gather(*(publish() for _ in range(AT_ONCE)))
            times.append(time.process_time() - began)
    return min(times) / (AT_ONCE * EACH) * 1e6


def at_once():
    """What takes the place of a call that appends, and of an append by the broker."""
    offset, really_call = 0, Pipe.call

    async def call(pipe, request, **options):
        nonlocal offset
        if not request.script.appends:
            return await really_call(pipe, request, **options)
        offset += 1
        return [b"abcdef", offset, b"1234.5"]

    async def append(_, channel, event, **__):
        nonlocal offset
        offset += 1
        return Entry(channel, Position("abcdef", offset), event, 1.0)

    return mock.patch.object(Pipe, "call", call), mock.patch.object(
        RedisBroker, "append", append
    )


def main():
    sizes = {
        kind.__name__: kind.__basicsize__
        for kind in (Subscriber, descriptor.DescriptorSink, Cursor)
    }
    print("bytes of an object, without the collector's 16:", sizes)
    print(f"a pass, for each stream, without send: {passes():.2f} us")
    if not sys.argv[1:]:
        return
    url = sys.argv[1]
    print(f"a publish: {uvloop.run(publishes(url)):.1f} us")
    if url.startswith("redis"):
        without_redis, without_broker = at_once()
        with without_redis:
            print(f"if Redis answered at once: {uvloop.run(publishes(url)):.1f} us")
        with without_broker:
            print(f"if the broker did: {uvloop.run(publishes(url)):.1f} us")


main()
