"""Appends of one transaction have outcomes of their own."""

import asyncio
import contextlib
import signal
import sqlite3

import pytest
from sqlite_files import opened, run_program

from heliograph import Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.values import PLAIN, Terms
from heliograph.errors import ChannelEndedError, TooManyRetainedError

ONE_KEY = Retention(events=5, seconds=600, retained_keys=1)
END = Terms(is_end=True)


def once(key):
    return Terms(idempotency_key=key)


async def test_one_that_is_refused_fails_no_other(path):
    """All are stored in one transaction, except those that must not be."""
    ear = RecordingListener()
    async with opened(path, ear, ONE_KEY) as broker:
        for name in ("a", "b", "ended"):
            await broker.listen(name)
        await broker.append("ended", Event("x"), terms=END)
        held = asyncio.ensure_future(broker.append("first", Event("x")))
        await asyncio.sleep(0)

        outcomes = await asyncio.gather(
            broker.append("a", Event("1"), terms=Terms(retain_as="x")),
            broker.append("ended", Event("2")),
            broker.append("a", Event("3"), terms=Terms(retain_as="y")),
            broker.append("b", Event("4"), terms=once("k")),
            broker.append("b", Event("5"), terms=once("k")),
            broker.append("b", Event("6"), terms=Terms(retain_as="\ud800")),
            broker.append("b", Event("7"), terms=END),
            broker.append("b", Event("8")),
            broker.append("a", Event("9")),
            return_exceptions=True,
        )

        await held
        heard = await ear.wait_for_entries(5)
    stored = [outcomes[n] for n in (0, 3, 6, 8)]
    assert heard[1:] == stored
    assert [(e.channel, e.position.offset) for e in stored] == [
        ("a", 1),
        ("b", 1),
        ("b", 2),
        ("a", 2),
    ]
    assert outcomes[4] == outcomes[3]
    errors = {n: type(outcomes[n]) for n in (1, 2, 5, 7)}
    assert errors == {
        1: ChannelEndedError,
        2: TooManyRetainedError,
        5: UnicodeEncodeError,
        7: ChannelEndedError,
    }


def test_a_batch_in_which_nothing_is_stored(file):
    """It has no entries, and the file has no more than before."""
    first = file.append("a", "1", once("k"))
    file.append("b", "x", END)

    commit = file.writer.append(
        [("a", Event("2"), once("k")), ("b", Event("x"), PLAIN), ("b", Event("x"), END)]
    )

    assert commit.entries == []
    assert commit.outcomes[0] == first
    assert [type(error) for error in commit.outcomes[1:]] == [ChannelEndedError] * 2
    assert file.select("SELECT count(*) FROM entry") == [(2,)]


# What is between an append and the one that has its key. Add a row, not a test.
BETWEEN = {
    "trimmed-by-number": lambda file: [file.append("a") for _ in range(50)],
    "too-old": lambda file: setattr(file.clock, "now", file.clock.now + 601),
    "begun": lambda file: file.writer.begin("a"),
    "damaged": lambda file: file.change("UPDATE entry SET data = x'ff'"),
    "damaged-time": lambda file: file.change("UPDATE entry SET published_at = 'word'"),
}


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN.keys())
def test_a_key_that_counts_no_longer(file, between):
    """Also while the row with it is still in the file."""
    first = file.append("a", "1", once("k"))
    assert file.append("a", "2", once("k")) == first
    between(file)

    again = file.append("a", "3", once("k"))

    assert again.position.offset > first.position.offset
    assert file.append("a", "4", once("k")) == again


def test_a_key_that_the_same_batch_trims(file):
    """By number, before anything has been removed from the file."""
    events = [("a", Event("1"), once("k")), *[("a", Event("x"), PLAIN)] * 50]

    commit = file.writer.append([*events, ("a", Event("2"), once("k"))])

    assert [one.position.offset for one in commit.outcomes[::51]] == [1, 52]


def test_keys_of_a_clock_that_was_ahead(file):
    """A time in the future says nothing, so the entry is in history."""
    file.clock.now += 1e8
    first = file.append("a", "1", once("k"))
    file.clock.now -= 1e8

    assert file.append("a", "2", once("k")) == first


def test_what_keys_cost(file):
    """Rows without a key are in no index; one with a key is found by it."""
    for n in range(300):
        file.append("a", str(n), PLAIN if n % 2 else once(str(n)))

    (plan,) = file.select(
        "EXPLAIN QUERY PLAN SELECT 1 FROM entry WHERE entry.channel_id = 1"
        " AND entry.idempotency_key = '0' AND +entry.offset > 0"
        " ORDER BY entry.seq DESC LIMIT 1"
    )
    assert "entry_idempotency_key (channel_id=? AND idempotency_key=?)" in plan[3]


# Damage of what a channel retains. Add a row, not a test.
DAMAGE = [
    "data = x'ff'",
    "type = 'line' || char(10)",
    "published_at = 'word'",
    "is_end = 7",
    "retained_as = x'ff'",
    "retained_as = CAST(x'ff' AS TEXT)",
    "offset = 'word'",
    "offset = 99",
    "offset = -1",
]


@pytest.mark.parametrize("columns", DAMAGE)
def test_a_retained_entry_that_is_damaged(file, columns, caplog):
    """It is skipped, logged once, and replaced by the next one that can be."""
    for key in "xyz":
        file.append("a", key, Terms(retain_as=key))
    file.change(f"UPDATE retained SET {columns} WHERE retained_as = 'y'")

    for _ in range(2):
        page = file.reader.retained("a", 0, 2)
        assert [entry.retained_as for entry in page.entries] == ["x", "z"]
        last = file.reader.retained("a", 1, 1)
        assert [entry.retained_as for entry in last.entries] == ["z"]
        assert file.reader.retained_as("a", "y") is None

    assert caplog.text.count("damaged retained entries") <= 1
    new = file.append("a", "new", Terms(retain_as="y"))
    assert file.reader.retained_as("a", "y") == new
    assert file.reader.retained("a", 3, 9).entries == (new,)


@pytest.mark.timeout(120)
def test_kill_9_after_a_change_returned(path, chance):
    """What has returned is so, whatever was changed: an end, a beginning, what is retained."""
    lines = []
    for attempt in range(12):
        with run_program("keep_state.py", path, attempt) as program:
            for line in program.stdout:
                lines.append(line)
                if chance.random() < 0.08:
                    break
            program.send_signal(signal.SIGKILL)
            # The last line may have been cut by the kill.
            lines += program.stdout.read().split("\n")[:-1]
    returned = dict(line.split() for line in lines)
    # A change that did not return may be there, too: so each is at least what it was.
    order = ["retained", "ended", "begun", "again", "forgotten"]

    async def check():
        async with opened(path) as broker:
            for name, change in returned.items():
                history = await broker.read(name, None, 9)
                kept = (await broker.retained(name, 0, 9)).entries
                state = (
                    history.head.offset,
                    history.began,
                    history.has_ended,
                    [entry.retained_as for entry in kept],
                )
                states = [
                    (1, 0, False, ["kept"]),
                    (2, 0, True, ["kept", "last"]),
                    (2, 2, False, []),
                    (3, 2, False, ["new"]),
                    (3, 2, False, []),
                ]
                at_least = order.index(change)
                assert state in states[at_least : at_least + 2], (name, change)

    asyncio.run(check())
    assert len(returned) >= 12
    assert len(set(returned.values())) > 1
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
