"""The facade: opening, closing, statistics."""

import asyncio
import contextlib
import sqlite3
import threading

import pytest

from heliograph import (
    Event,
    HubClosedError,
    HubConfig,
)
from heliograph.brokers import Retention
from heliograph.brokers.sqlite.broker import SqliteBroker, SqliteTimings
from heliograph.hub import Admission, Hub, open_hub
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


async def subscribe(hub):
    async with hub.subscribe(("a",)):
        pytest.fail("its position is not known")


# What waits for storage. Add a row, not a test.
WAITING = {
    "publish": lambda hub: hub.publish(["a"], Event("x")),
    "publish-to-several": lambda hub: hub.publish(["a", "b"], Event("x")),
    "disconnect": lambda hub: hub.disconnect("a"),
    "subscribe": subscribe,
}


async def test_what_waits_when_the_hub_is_closed(tmp_path):
    """It ends with the hub, by name, also if nothing limits its time."""
    config = HubConfig(publish_waits=True, publish_timeout_seconds=None)
    hub = await open_hub(
        f"sqlite:///{tmp_path}/missing/log", config, timings=Timings(commands_seconds=0.05)
    )
    waiting = {name: asyncio.create_task(call(hub)) for name, call in WAITING.items()}
    locating = asyncio.create_task(hub.locate(hub.admit(Admission(("a",)))))
    await asyncio.sleep(0)

    await hub.close()

    await locating
    done, _ = await asyncio.wait(waiting.values(), timeout=10)
    assert done == set(waiting.values())
    for name, task in waiting.items():
        assert isinstance(task.exception(), HubClosedError), name
    with pytest.raises(HubClosedError):
        hub.statistics()


async def test_what_fails_while_the_hub_is_closed(tmp_path):
    """A call that was under way says that the hub was closed, and what storage said."""
    broker = SqliteBroker(
        tmp_path / "log",
        Retention(events=9, seconds=9e9),
        timings=SqliteTimings(lock_timeout_seconds=0.05),
    )
    hub = Hub(broker, HubConfig())
    await hub.open()
    await hub.publish(["a"], Event("x"))
    with contextlib.closing(
        sqlite3.connect(tmp_path / "log", isolation_level=None)
    ) as holder:
        holder.execute("BEGIN IMMEDIATE")
        publishing = asyncio.create_task(hub.publish(["a"], Event("y")))
        await asyncio.sleep(0)

        await hub.close()

        with pytest.raises(HubClosedError, match=r"closed meanwhile: .* is locked"):
            await publishing


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
