"""The states of a subscriber: how streams begin and end."""

import time

import pytest

from heliograph import (
    Event,
)
from hubs import Taking, opened
from streams import connect, until


async def test_lifetime():
    """Streams end in their time, not all at once, and clients resume."""
    async with opened(max_stream_seconds=3) as hub:
        begin = time.monotonic()
        clients = [await connect(hub, "a").placed() for _ in range(20)]
        ends = {client.subscriber.expires_at for client in clients}
        assert len(ends) == 20
        await hub.publish(["a"], Event("x"))
        for client in clients:
            await client.ended()
            assert client.data == ["x"]
        assert time.monotonic() - begin > 1.4
        # What ends sooner still does.
        soon = connect(hub, "a", expires_at=time.time() + 0.01)
        assert soon.subscriber.expires_at < time.time() + 0.1
        async with hub.subscribe(("a",)) as events:
            assert hub._clients._admission.find(events._ticket.number).expires_at is None


@pytest.mark.parametrize("end", ["disconnect", "close"])
async def test_what_was_published_before_the_end_arrives(url, end):
    """A last event is part of the stream."""
    async with opened(url) as hub:
        clients = [await connect(hub, "a").placed() for _ in range(300)]

        await hub.publish(["a"], Event("goodbye"))
        if end == "disconnect":
            await hub.disconnect("a")
        else:
            await until(lambda: hub.statistics().entries == 1)
            await hub.close()

        for client in clients:
            assert (await client.ended()).data == ["goodbye"]


async def test_expiry():
    """A stream ends when its permission does."""
    async with opened() as hub:
        client = connect(hub, "a", expires_at=time.time() + 0.1)
        past = connect(hub, "a", expires_at=time.time() - 5)

        await client.ended()
        await past.ended()

        assert hub.statistics().subscribers == 0


async def test_a_subscriber_that_left_before_it_was_served():
    """Its connection is closed, and that is all."""
    async with opened() as hub:
        client = connect(hub, "a")
        hub.release(client.ticket)

        await client.ended()


async def test_a_fault_of_a_sink_spares_the_others(caplog):
    """One write that fails ends one stream."""

    class Broken(Taking):
        writes = 0

        def write(self, data):
            self.writes += 1
            if self.writes > 2:
                raise ZeroDivisionError("a bug")

        def close(self):
            raise ZeroDivisionError("another bug")

        abort = close

    async with opened() as hub:
        first = await connect(hub, "a").placed()
        hub.attach(hub.admit(("a",)), Broken())
        last = await connect(hub, "a").placed()

        await hub.publish(["a"], Event("x"))

        assert len(await first.wait(1)) == len(await last.wait(1)) == 1
        assert hub.statistics().subscribers == 2
    assert "a bug" in caplog.text
    assert "another bug" in caplog.text
