"""Hubs for the tests, with each broker of one machine, and what they hold."""

import asyncio
import contextlib
import json
import sqlite3

from heliograph import (
    Event,
    EventStreamParser,
    HubConfig,
)
from heliograph.brokers import Retention, open_broker
from heliograph.hub import Hub
from heliograph.hub.timings import DEFAULT_TIMINGS
from heliograph.wire.framing import Framing
from streams import connect


@contextlib.asynccontextmanager
async def opened(
    url="memory:",
    *,
    events=1000,
    timings=DEFAULT_TIMINGS,
    recycled_after=lambda: None,
    **config,
):
    broker = open_broker(url, Retention(events=events, seconds=1e6))
    hub = Hub(broker, HubConfig(**config), timings=timings, recycled_after=recycled_after)
    await hub.open()
    try:
        yield hub
    finally:
        await hub.close()


async def resume(hub, client, *channels):
    client.leave()
    return connect(hub, *channels, last_event_id=client.parser.last_event_id)


class Taking:
    """A sink whose client takes everything at once."""

    framing = Framing.IDENTITY
    paused = False
    unsent_bytes = 0

    def __init__(self):
        self.data = b""

    def attach(self, client):
        pass

    def write(self, data):
        self.data += data

    def close(self):
        pass

    def abort(self):
        pass


class Recording(Taking):
    """
    A sink that keeps what is asked of it, and can be told to fail.

    ``faults`` are the names of what raises from now on.
    """

    def __init__(self, framing=Framing.IDENTITY, *, faults=()):
        super().__init__()
        self.framing = framing
        self.writes, self.calls, self.faults = [], [], set(faults)
        self.is_paused = False

    @property
    def paused(self):
        self.fail("paused")
        return self.is_paused

    def fail(self, name):
        if name in self.faults:
            raise ZeroDivisionError(f"a bug in {name}")

    def attach(self, client):
        self.fail("attach")

    def write(self, data):
        self.fail("write")
        self.writes.append(data)
        super().write(data)

    def close(self):
        self.calls.append("close")
        self.fail("close")

    def abort(self):
        self.calls.append("abort")
        self.fail("abort")


def opening_of(client):
    """Return what the opening says: the first event of a stream, and the only one of its type."""
    opening, *others = EventStreamParser().feed(client.body)
    assert opening.type == "heliograph.open"
    assert "heliograph.open" not in {event.type for event in others}
    found = json.loads(opening.data)
    assert found["id"] == opening.id
    return found


async def gap_of(client):
    first = (await client.wait(1))[0]
    assert first.type == "heliograph.gap"
    return json.loads(first.data)["reasons"]


def held_by(hub):
    """Bytes that a hub holds for clients that are behind."""
    return hub._feeds._held.bytes + sum(s.unsent_bytes for s in hub._clients._admission)


def damage(path, channel, *offsets):
    """Make entries in a file of SQLite unreadable."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for offset in offsets:
            changed = connection.execute(
                "UPDATE entry SET type = char(10) WHERE offset = ? AND channel_id ="
                " (SELECT id FROM channel WHERE name = ?)",
                (offset, channel),
            )
            assert changed.rowcount == 1


async def fill(hub, subscriber):
    """Publish until the client is behind what the kernel holds for it."""
    while not subscriber.sink.paused:
        await hub.publish(["a"], Event("x" * 60_000))
        await asyncio.sleep(0.001)
