"""What is in the file is checked before it is believed."""

import asyncio
import contextlib
import sqlite3

import pytest
from sqlite_files import expect_refused, opened

from heliograph import Event
from heliograph.brokers.contract import RecordingListener
from heliograph.channels.position import Position

# What somebody may do to the entry of channel a, or to its row. Add a row, not a test.
DAMAGE = {
    "offset-negative": "UPDATE entry SET offset = -5",
    "offset-word": "UPDATE entry SET offset = 'word'",
    "offset-blob": "UPDATE entry SET offset = x'ff'",
    "offset-fraction": "UPDATE entry SET offset = 1.5",
    "time-word": "UPDATE entry SET published_at = 'word'",
    "time-inf": "UPDATE entry SET published_at = 9e999",
    "type-not-utf-8": "UPDATE entry SET type = CAST(x'ff' AS TEXT)",
    "type-blob": "UPDATE entry SET type = x'ff'",
    "id-not-utf-8": "UPDATE entry SET event_id = CAST(x'ff' AS TEXT)",
    "data-not-utf-8": "UPDATE entry SET data = CAST(x'ff' AS TEXT)",
    "data-blob": "UPDATE entry SET data = x'ff'",
    "retry-negative": "UPDATE entry SET retry_ms = -1",
    "retry-word": "UPDATE entry SET retry_ms = 'word'",
    "epoch-odd": "UPDATE channel SET epoch = 'a-b'",
    "epoch-long": "UPDATE channel SET epoch = 'abcdefghijklmnopq'",
    "epoch-not-utf-8": "UPDATE channel SET epoch = CAST(x'ff' AS TEXT)",
    "head-negative": "UPDATE channel SET head = -1",
    "head-word": "UPDATE channel SET head = 'word'",
    "head-fraction": "UPDATE channel SET head = 1.5",
    "head-low": "UPDATE channel SET head = 0",
    "head-highest": f"UPDATE channel SET head = {2**63 - 1}",
    "offset-high": "UPDATE entry SET offset = 1000",
    "end-word": "UPDATE entry SET is_end = 'word'",
    "end-two": "UPDATE entry SET is_end = 2",
    "retained-blob": "UPDATE entry SET retained_as = x'ff'",
    "retained-not-utf-8": "UPDATE entry SET retained_as = CAST(x'ff' AS TEXT)",
    "key-not-utf-8": "UPDATE entry SET idempotency_key = CAST(x'ff' AS TEXT)",
    "began-word": "UPDATE channel SET began = 'word'",
    "began-high": "UPDATE channel SET began = 1000",
    "began-negative": "UPDATE channel SET began = -1",
    "ended-blob": "UPDATE channel SET ended = x'ff'",
    "ended-high": "UPDATE channel SET ended = 1000",
}


@pytest.mark.parametrize("is_begun", [False, True])
@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE.keys())
async def test_damaged_rows(path, statement, is_begun):
    """Other channels are heard, published to and read; this one is, as far as it can be."""
    ear = RecordingListener()
    async with opened(path, ear) as broker, opened(path) as newcomer:
        for name in ("a", "b"):
            await broker.listen(name)
        with contextlib.closing(sqlite3.connect(path)) as other, other:
            other.execute(
                "INSERT INTO channel (name, epoch, head, published_at)"
                " SELECT 'a', epoch, 1, 9e9 FROM meta"
            )
            other.execute(
                "INSERT INTO entry (channel_id, offset, published_at, event_id, data)"
                " SELECT id, 1, 9e9, 'x', 'damaged' FROM channel"
            )
            other.execute(statement)
        for call in (
            broker.read("a", None, 9),
            broker.read("a", Position("other", 5), 0),
            broker.find("a", "x"),
            broker.retained("a", 0, 9),
            broker.retained_as("a", "x"),
            newcomer.listen("a"),
        ):
            await call
        await broker.forget("a", "x")
        if is_begun:
            await broker.begin("a")

        entries = await asyncio.gather(
            broker.append("a", Event("new")), broker.append("b", Event("new"))
        )

        while not all(entry in ear.entries for entry in entries):
            await asyncio.sleep(0.01)
        assert (await broker.read("b", None, 9)).entries == (entries[1],)
        assert (await broker.read("a", entries[0].position, 9)).gap is None


async def test_a_backup_that_was_put_back_is_another_life(path):
    """It gives offsets a second time; nobody takes them for the first."""
    ear = RecordingListener()
    async with opened(path) as broker:
        first = await broker.append("a", Event("1"))
    backup = path.read_bytes()
    async with opened(path, ear) as broker:
        await broker.listen("a")
        lost = await broker.append("a", Event("lost"))
        await ear.wait_for_entries(1)
        for found in path.parent.glob("log.sqlite3*"):
            if found.is_file():
                found.unlink()
        restored = path.with_name("restored")
        restored.write_bytes(backup)
        restored.rename(path)

        again = await broker.append("a", Event("again"))

        assert again.position.offset == lost.position.offset == 2
        assert again.position.epoch != first.position.epoch
        # All that the file holds is of the new life.
        await ear.wait_for_entries(3)
        assert ear.entries[1].position == Position(again.position.epoch, 1)
        assert ear.entries[2] == again


async def test_database_of_another_program(path):
    """Somebody else's tables are not touched."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.commit()

    await expect_refused(path, "another program")


async def test_layout_of_a_later_version(path):
    """A file from the future is refused by name."""
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
    with contextlib.closing(sqlite3.connect(path)) as later:
        later.execute("PRAGMA user_version = 99")

    await expect_refused(path, "layout 99")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM meta",
        "UPDATE meta SET epoch = 'a-b'",
        "UPDATE meta SET epoch = x'ff'",
        "UPDATE sqlite_sequence SET seq = 'word'",
        "UPDATE sqlite_sequence SET seq = -1",
        "UPDATE sqlite_sequence SET seq = 9223372036854775807",
        "UPDATE entry SET seq = 9223372036854775807",
    ],
)
async def test_damage_of_the_whole_file(path, statement):
    """What the file says about itself cannot be skipped: it is refused, with what to do."""
    async with opened(path) as broker:
        await broker.append("a", Event("x"))
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute(statement)

    await expect_refused(path, "the file is damaged")
