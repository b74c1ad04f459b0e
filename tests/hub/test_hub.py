"""The facade: opening, closing, statistics."""

import asyncio
import threading

import pytest

from heliograph import (
    Event,
    HubClosedError,
    HubConfig,
)
from heliograph.hub import Admission, open_hub
from heliograph.hub.timings import Timings
from hubs import opened
from streams import connect, until


async def test_close(url):
    """Streams end with the hub, which then refuses politely."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        catching_up = connect(hub, "b")
        entry = asyncio.create_task(hub.publish(["a"], Event("last")))
        await asyncio.sleep(0)

        await hub.close()
        await hub.close()

        await client.ended()
        await catching_up.ended()
        assert (await entry)[0].position.offset == 1
        for refused in (hub.publish(["a"], Event("x")), hub.disconnect("a")):
            with pytest.raises(HubClosedError):
                await refused
        with pytest.raises(HubClosedError):
            hub.admit(Admission(("a",)))


async def test_closing_is_not_given_up(sqlite):
    """Whoever closes it is cancelled: it is closed all the same, and may be waited for again."""
    threads = set(threading.enumerate())
    async with opened(sqlite) as hub:
        await hub.publish(["a"], Event("x"))
        closing = asyncio.create_task(hub.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
    await until(lambda: set(threading.enumerate()) <= threads)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_opening_is_given_up_while_the_broker_is_away(tmp_path):
    """Nothing of it goes on."""
    timings = Timings(commands_seconds=100)
    opening = asyncio.create_task(
        open_hub(f"sqlite:///{tmp_path}/missing/log", HubConfig(), timings=timings)
    )
    await asyncio.sleep(0.1)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_statistics(url):
    """Counters count."""
    async with opened(url) as hub:
        client = await connect(hub, "a").placed()
        await hub.publish(["a", "b"], Event("x"))
        await client.wait(1)

        found = hub.statistics()

        assert (found.subscribers, found.channels, found.feeds) == (1, 1, 1)
        assert (found.published, found.entries, found.gaps, found.refused) == (2, 1, 0, 0)
