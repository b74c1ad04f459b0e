"""The events of channels for a program of the same process."""

import asyncio
import json
import time

import pytest

from heliograph import HubConfig, TooManySubscribersError
from heliograph.asgi import EventStreams
from streams import until


async def test_subscribe_with_an_empty_id():
    """As a client has it that was cut off at once: it begins now, and that is no gap."""
    async with (
        EventStreams("memory:") as streams,
        streams.subscribe("a", last_event_id="") as events,
    ):
        await streams.publish("x", channel="a")
        assert (await anext(events)).data == "x"


async def test_subscribe_without_a_block():
    """The error says what to write, also where a response iterates."""
    streams = EventStreams("memory:")

    with pytest.raises(TypeError, match=r"write async with streams\.subscribe"):
        async for _ in streams.subscribe("a"):
            pass


async def test_subscribe():
    """Nothing that is published within the block is missed."""
    async with EventStreams("memory:") as streams:
        async with streams.subscribe("a", "b") as events:
            start = events.last_event_id
            for n in range(3):
                await streams.publish(n, channel="ab"[n % 2])
            got = [await anext(events) for _ in range(3)]
            assert [event.data for event in got] == ["0", "1", "2"]
            assert events.last_event_id == got[-1].id
        assert (await streams.statistics()).subscribers == 0
        async with streams.subscribe("a", "b", last_event_id=got[0].id) as events:
            assert [(await anext(events)).data for _ in range(2)] == ["1", "2"]
        async with streams.subscribe("a", "b", last_event_id=start) as events:
            assert (await anext(events)).data == "0"
        async with streams.subscribe("a", last_event_id="junk") as events:
            gap = await anext(events)
            assert (gap.type, json.loads(gap.data)["channels"]) == ("heliograph.gap", ["a"])


async def test_history_by_pattern():
    """Of each channel as much is kept as its pattern asks for."""
    config = HubConfig(channels={"job:*": {"history_events": 2}})
    async with EventStreams("memory:", config=config) as streams:
        for channel, kept in [("job:1", ["3", "4"]), ("news", ["1", "2", "3", "4"])]:
            first, *_ = [await streams.publish(n, channel=channel) for n in range(5)]
            async with streams.subscribe(channel, last_event_id=first) as events:
                if channel != "news":
                    assert (await anext(events)).type == "heliograph.gap"
                assert [(await anext(events)).data for _ in kept] == kept


async def test_a_subscription_that_is_slow():
    """It is given everything, however late, and holds little meanwhile."""
    config = HubConfig(max_event_bytes=50_000, max_lag_bytes=100_000)
    async with (
        EventStreams("memory:", config=config) as streams,
        streams.subscribe() as events,
    ):
        for n in range(50):
            await streams.publish(f"{n} {'x' * 40_000}")
            await asyncio.sleep(0)
        await until(lambda: streams._hub.hub.statistics().lagging_disconnected)
        for n in range(50):
            assert (await anext(events)).data.split()[0] == str(n)
        await streams.publish("last")
        assert (await anext(events)).data == "last"


@pytest.mark.parametrize("end", ["close", "disconnect"])
async def test_a_subscription_that_is_ended(end):
    """The iteration ends after what was published before."""
    async with EventStreams("memory:") as streams, streams.subscribe("a") as events:
        await streams.publish("x", channel="a")
        await asyncio.sleep(0.01)
        await (streams.close() if end == "close" else streams.disconnect("a"))

        assert [event.data async for event in events] == ["x"]


async def leave_behind(streams):
    """Publish fifty events, more than a subscription is held for that does not take them."""
    for n in range(50):
        await streams.publish(f"{n} " + "x" * 10_000, channel="a")
        await asyncio.sleep(0)
    await until(lambda: streams._hub.hub.statistics().lagging_disconnected)


async def test_a_slow_subscription_whose_slot_is_taken():
    """It gets an error, and resumes where it was when there is a slot again."""
    config = HubConfig(max_subscribers=1, max_lag_bytes=300_000)
    async with (
        EventStreams("memory:", config=config) as streams,
        streams.subscribe("a") as events,
    ):
        await leave_behind(streams)
        async with streams.subscribe("b"):
            with pytest.raises(TooManySubscribersError):
                await anext(events)

        got = [(await anext(events)).data.split()[0] for _ in range(50)]
    assert got == [str(n) for n in range(50)]


async def test_a_slow_subscription_and_many_disconnects():
    """Those of other channels, and those before it was cut off, do not end it."""
    config = HubConfig(max_lag_bytes=300_000)
    async with (
        EventStreams("memory:", config=config) as streams,
        streams.subscribe("a") as events,
    ):
        for n in range(10_001):
            streams._hub.hub._control._disconnects.note(f"other{n}")
        await leave_behind(streams)

        got = [(await anext(events)).data.split()[0] for _ in range(50)]
        assert got == [str(n) for n in range(50)]


async def test_a_slow_subscription_that_is_disconnected():
    """Also while it is cut off: then it does not resume."""
    config = HubConfig(max_lag_bytes=300_000)
    async with (
        EventStreams("memory:", config=config) as streams,
        streams.subscribe("a") as events,
    ):
        await leave_behind(streams)
        before = time.monotonic_ns()
        await streams.disconnect("a")
        await until(lambda: streams._hub.hub._control._disconnects.latest > before)

        got = [event.data.split()[0] async for event in events]
        assert got == [str(n) for n in range(len(got))]
        assert len(got) < 50


async def test_an_event_of_any_size():
    """Whatever could be published is returned, also by a process with a larger limit."""
    config = HubConfig(max_event_bytes=40 * 2**20, max_lag_bytes=80 * 2**20)
    async with (
        EventStreams("memory:", config=config) as streams,
        streams.subscribe() as events,
    ):
        await streams.publish("x" * (17 * 2**20))
        await streams.publish("small")

        assert len((await anext(events)).data) == 17 * 2**20
        assert (await anext(events)).data == "small"


async def test_a_subscription_takes_a_slot():
    """Among the caps, as streams do."""
    async with EventStreams("memory:", config=HubConfig(max_subscribers=1)) as streams:
        async with streams.subscribe("a"):
            with pytest.raises(TooManySubscribersError):
                async with streams.subscribe("a"):
                    pass
        async with streams.subscribe("a"):
            pass
