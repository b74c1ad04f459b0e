"""The events of some channels, for a program."""

import asyncio

import pytest

from heliograph import Event, HubClosedError, TooManySubscribersError
from heliograph.channels.start import Start
from heliograph.hub import Admission
from hubs import opened
from streams import until


async def take(events, count):
    return [(await anext(events)).data for _ in range(count)]


async def test_events_come_as_they_are_published(url):
    """From the beginning of the block on, in order, once; the block's end gives the slot back."""
    async with opened(url) as hub:
        await hub.publish(["a"], Event("before"))
        async with hub.subscribe(("a", "b")) as events:
            for n in range(5):
                await hub.publish(["ab"[n % 2]], Event(str(n)))
            assert await take(events, 5) == ["0", "1", "2", "3", "4"]
            assert hub.statistics().subscribers == 1
        assert hub.statistics().subscribers == 0


async def test_resuming(url):
    """From the last event that was taken, not from the last that had come."""
    async with opened(url) as hub:
        async with hub.subscribe(("a",)) as events:
            for n in range(5):
                await hub.publish(["a"], Event(str(n)))
            assert await take(events, 2) == ["0", "1"]

        async with hub.subscribe(("a",), last_event_id=events.last_event_id) as later:
            assert await take(later, 3) == ["2", "3", "4"]


async def test_resuming_before_the_first_event(url):
    """A program that has taken nothing has a position all the same."""
    async with opened(url) as hub:
        async with hub.subscribe(("a",)) as events:
            assert events.last_event_id
        await hub.publish(["a"], Event("x"))

        async with hub.subscribe(("a",), last_event_id=events.last_event_id) as later:
            assert await take(later, 1) == ["x"]


async def test_where_it_began(url):
    """The position before the first event is known, although that event is there already."""
    async with opened(url) as hub:
        await hub.publish(["a"], Event("x"))
        async with hub.subscribe(("a", "b"), start=Start.parse("start")) as events:
            assert await take(events, 1) == ["x"]
            began = events.opening_id

        async with hub.subscribe(("a", "b"), last_event_id=began) as later:
            assert await take(later, 1) == ["x"]
            assert later.opening_id == began


@pytest.mark.parametrize("end", ["disconnect", "close"])
async def test_ends(url, end):
    """What was published before comes, and then the iteration is over, again and again."""
    async with opened(url) as hub, hub.subscribe(("a",)) as events:
        await hub.publish(["a"], Event("last"))
        await until(lambda: hub.statistics().entries == 1)
        await (hub.close() if end == "close" else hub.disconnect("a"))

        assert [event.data async for event in events] == ["last"]
        with pytest.raises(StopAsyncIteration):
            await anext(events)


async def test_leaving_while_another_task_waits():
    """The one that waits is told that the iteration is over."""
    async with opened() as hub:
        async with hub.subscribe(("a",)) as events:
            waiting = asyncio.create_task(anext(events, "over"))
            await asyncio.sleep(0)
        assert await waiting == "over"


async def test_a_program_that_is_cancelled_misses_nothing(url):
    """What came meanwhile is there for the next one who asks."""
    async with opened(url) as hub, hub.subscribe(("a",)) as events:
        waiting = asyncio.create_task(anext(events))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        await hub.publish(["a"], Event("x"))

        assert await take(events, 1) == ["x"]


LAG = {"max_lag_bytes": 100_000, "max_event_bytes": 50_000}


async def fall_behind(hub):
    """Publish until the program is cut off; return how many events that took."""
    count = 0
    while not hub.statistics().lagging_disconnected:
        await hub.publish(["a"], Event(f"{count:03}" + "x" * 20_000))
        count += 1
        # A pass between two of them: the program is behind what it was given.
        await asyncio.sleep(0)
    return count


async def test_a_program_that_is_too_slow():
    """It holds no more than a client may, and is given the rest from the history."""
    async with opened(**LAG) as hub, hub.subscribe(("a",)) as events:
        count = await fall_behind(hub)
        assert hub.statistics().subscribers == 0

        assert [data[:3] for data in await take(events, count)] == [
            f"{n:03}" for n in range(count)
        ]


async def test_a_program_that_is_too_slow_twice(url):
    """The second time before it was told where it is."""
    async with (
        opened(url) as hub,
        hub.subscribe(("a",), start=Start.parse("now")) as events,
    ):
        await hub.publish(["a"], Event("0"))
        assert await take(events, 1) == ["0"]
        for n in (1, 2):
            hub._clients._admission.find(events._ticket.number).drop()
            await hub.publish(["a"], Event(str(n)))
            # It joins again.
            assert await events._pull()

        assert await take(events, 2) == ["1", "2"]


async def test_a_program_that_is_too_slow_and_was_disconnected():
    """What was revoked since it was cut off ends it."""
    async with opened(**LAG) as hub, hub.subscribe(("a",)) as events:
        await fall_behind(hub)
        before = hub._control._disconnects.latest
        await hub.disconnect("a")
        await until(lambda: hub._control._disconnects.latest > before)

        assert [event.data async for event in events] == []


async def test_a_program_that_is_too_slow_and_whose_slot_was_taken():
    """It is refused as a client would be, and may try again from the same position."""
    async with opened(max_subscribers=1, **LAG) as hub, hub.subscribe(("a",)) as events:
        count = await fall_behind(hub)
        ticket = hub.admit(Admission(("b",)))
        for _ in range(2):
            with pytest.raises(TooManySubscribersError):
                await anext(events)

        hub.release(ticket)

        assert len(await take(events, count)) == count


async def test_a_program_that_is_too_slow_and_whose_hub_was_closed():
    """The iteration is over."""
    async with opened(**LAG) as hub, hub.subscribe(("a",)) as events:
        await fall_behind(hub)
        await hub.close()

        assert [event.data async for event in events] == []


async def test_after_the_hub():
    """Subscribing is refused when the process is about to end, and when the hub is closed."""
    async with opened() as hub:
        hub.finish_all()
        with pytest.raises(HubClosedError, match="about to end"):
            async with hub.subscribe(("a",)):
                pass
