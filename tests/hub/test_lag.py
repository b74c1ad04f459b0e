"""The bound on what is held for clients that are behind."""

import asyncio

from heliograph import (
    Event,
)
from heliograph.hub import Admission
from heliograph.hub.timings import Timings
from hubs import Taking, held_by, opened
from streams import connect, until


async def test_a_large_event_on_its_way_is_no_lag():
    """However much it is for all together: who takes it from look to look is not late."""
    # No looks but those below: another one might come in between, and find nothing taken.
    timings = Timings(lag_look_seconds=600)
    config = {"max_lag_bytes": 300_000, "max_lag_total_bytes": 1_000_000}
    async with opened(send_buffer_bytes=4096, timings=timings, **config) as hub:
        stuck = await connect(hub, "a", read_buffer=4096).placed()
        clients = [await connect(hub, "a").placed() for _ in range(30)]
        largest = 0
        for n in range(8):
            await hub.publish(["a"], Event("x" * 100_000))
            await until(lambda n=n: hub.statistics().entries == n + 1)
            await asyncio.sleep(0.01)
            largest = max(largest, held_by(hub))
            hub._feeds.bound_lag()
            for client in clients:
                await client.wait(n + 1)
            hub._feeds.bound_lag()

        assert largest > 1_000_000
        assert all(client.subscriber.is_open for client in clients)
        assert not stuck.subscriber.is_open


class Broken(Taking):
    """A sink that cannot be looked at."""

    @property
    def unsent_bytes(self):
        raise RuntimeError("the handler is closed")


async def test_a_sink_that_cannot_be_looked_at(caplog):
    """It is given up; the others are looked at all the same."""
    config = {"max_lag_bytes": 300_000, "max_lag_total_bytes": 300_000}
    async with opened(send_buffer_bytes=4096, **config) as hub:
        ticket = hub.admit(Admission(("a",)))
        broken = hub._clients._admission.find(ticket.number)
        hub.attach(ticket, Broken())
        stuck = [await connect(hub, "a", read_buffer=4096).placed() for _ in range(9)]

        for _ in range(4):
            await hub.publish(["a"], Event("x" * 60_000))
        await until(lambda: hub.statistics().lagging_disconnected > 1)

        assert not broken.is_open
        assert any(not client.subscriber.is_open for client in stuck)
        assert "cannot look at a stream" in caplog.text
