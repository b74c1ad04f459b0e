"""History is read in pages."""

import contextlib
import sqlite3

import pytest
from contract import Ear
from sqlite_files import opened, read_all

from heliograph import BrokerUnavailableError, Event


async def test_pages_are_bounded_by_bytes(path):
    """Large entries come a few at a time, and all of them come."""
    async with opened(path) as broker:
        for n in range(10):
            await broker.append("a", Event(f"{n}" + "x" * 100_000))

        page = await broker.read("a", None, 10)
        entries, _ = await read_all(broker, "a")

        assert len(page.entries) == 3
        assert [entry.position.offset for entry in entries] == list(range(1, 11))


async def test_a_damaged_entry(path, caplog):
    """It is an error to who reads it, and skipped for who listens: nobody goes deaf."""
    ear = Ear()
    async with opened(path, ear) as broker:
        await broker.listen("a")
        await broker.append("a", Event("1"))
        await ear.hear(1)
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("UPDATE channel SET head = 2")
            other.execute(
                "INSERT INTO entry (channel_id, offset, published_at, type, data)"
                " SELECT id, 2, published_at, 'line' || char(10), 'x' FROM channel"
            )
            other.commit()

        await broker.append("a", Event("3"))

        await ear.hear(2)
        assert ear.offsets("a") == [1, 3]
        with pytest.raises(BrokerUnavailableError, match="damaged entry 2 in channel 'a'"):
            await broker.read("a", None, 9)
    assert "damaged" in caplog.text
