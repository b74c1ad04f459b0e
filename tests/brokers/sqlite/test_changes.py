"""Channels are listened to many at a time, and none is in the way of another."""

import asyncio
import contextlib
import sqlite3

import pytest
from sqlite_files import opened, spoil

from heliograph import Event
from heliograph.brokers.contract import RecordingListener


async def test_a_damaged_channel_stops_no_other(path, caplog):
    """All are listened to in one transaction, and that one begins anew."""
    ear = RecordingListener()
    async with opened(path, ear) as broker:
        before = await broker.append("damaged", Event("x"))
        with contextlib.closing(sqlite3.connect(path)) as file, file:
            file.execute("UPDATE channel SET head = 'many'")
        calls = [broker.listen(name) for name in ("a", "damaged", "b")]

        assert [(await call).offset for call in calls] == [0, 0, 0]
        appended = [await broker.append(name, Event("x")) for name in ("damaged", "b")]
        assert await ear.wait_for_entries(2) == appended
    assert appended[0].position.epoch != before.position.epoch
    assert "channel 'damaged': skipped its damaged row" in caplog.text


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
