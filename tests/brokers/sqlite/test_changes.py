"""Channels are listened to many at a time, and none is in the way of another."""

import asyncio
import sqlite3

import pytest
from sqlite_files import opened, spoil

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers.contract import RecordingListener


async def test_a_damaged_channel_stops_no_other(path):
    """All are listened to in one transaction, and that one cannot be."""
    ear = RecordingListener()
    async with opened(path, ear) as broker:
        await broker.append("damaged", Event("x"))
        with sqlite3.connect(path) as file:
            file.execute("UPDATE channel SET head = 'many'")
        file.close()
        calls = [broker.listen(name) for name in ("a", "damaged", "b")]

        with pytest.raises(BrokerUnavailableError, match="'damaged' is damaged"):
            await calls[1]
        assert (await calls[0]).offset == (await calls[2]).offset == 0
        await broker.append("b", Event("x"))
        assert [e.channel for e in await ear.wait_for_entries(1)] == ["b"]


async def test_news_before_a_crowd(path):
    """Who has come before hears what is published, however much newcomers have to ask."""
    ear = RecordingListener()
    async with opened(path, ear) as broker:
        await broker.listen("a")
        crowd = [broker.listen(f"c{n}") for n in range(20_000)]
        await broker.append("a", Event("x"))
        await ear.wait_for_entries(1)
        assert not all(one.done() for one in crowd)
        await asyncio.gather(*crowd)


@pytest.mark.parametrize("is_damaged", [False, True])
async def test_nothing_is_kept_of_what_is_not_listened_to(path, is_damaged):
    """Channels whose call was cancelled at any time, or failed, cost no memory."""
    async with opened(path) as broker:
        if is_damaged:
            spoil(path)
        for turns in range(10):
            calls = {name: broker.listen(name) for name in (f"a{turns}", f"b{turns}")}
            for _ in range(turns):
                await asyncio.sleep(0)
            for name, call in calls.items():
                if not call.cancel() and call.exception() is None:
                    broker.unlisten(name)
        last = broker.listen("last")
        (await asyncio.wait([last]))[0].pop().exception()
        kept = list(broker._changes._wanted)

    assert kept == ([] if is_damaged else ["last"])
