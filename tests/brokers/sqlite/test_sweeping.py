"""Channels are forgotten as a whole, and nobody loses one that is listened to."""

import contextlib
import sqlite3
from dataclasses import replace

import pytest
from sqlite_steps import SHORT, File

from heliograph.brokers.values import Terms

ALL = Terms(retain_as="x", idempotency_key="k", is_end=True)
HOUR = 3600.0


class TwoPolicies:
    """Of jobs less than of all others."""

    def of(self, channel):
        return replace(SHORT, forget_seconds=HOUR if channel.startswith("job") else 9e6)


@pytest.fixture(params=["same", "by-channel"])
def file(path, request):
    made = File(path, SHORT if request.param == "same" else TwoPolicies())
    yield made
    made.connection.close()


@pytest.fixture
def other(path, file):
    """Another process."""
    made = File(path, file.retention, file.clock)
    yield made
    made.connection.close()


def is_known(file, name):
    return bool(file.select(f"SELECT 1 FROM channel WHERE name = '{name}'"))


@pytest.mark.parametrize("terms", [Terms(), ALL], ids=["unused", "ended"])
def test_nothing_is_left(file, terms):
    """No row, in no table, has anything of a channel that is forgotten."""
    for n in range(250):
        file.append(f"job:{n}", "secret", terms)
    file.clock.now += 2 * HOUR

    file.sweep()

    for table in ("channel", "entry", "retained"):
        assert file.select(f"SELECT count(*) FROM {table}") == [(0,)]
    assert file.select("SELECT DISTINCT typeof(bucket), length(epoch) FROM forgotten") == [
        ("integer", 8)
    ]


def test_an_ended_channel_is_forgotten_though_it_is_listened_to(file):
    """An hour after the end, and not before."""
    file.append("job", "x", ALL)
    file.listened.add("job")
    file.clock.now += HOUR - 1
    file.sweep()
    assert is_known(file, "job")

    file.clock.now += 1
    file.sweep()

    assert not is_known(file, "job")


def test_a_channel_that_has_begun_again_counts_as_used(file):
    """It has not ended, although it had."""
    file.append("job", "x", ALL)
    file.clock.now += HOUR - 1
    file.writer.begin("job")
    file.clock.now += HOUR

    file.sweep()

    assert is_known(file, "job")
    assert not file.reader.read("job", None, 0).has_ended


def test_listening_in_another_process_keeps_a_channel(file, other):
    """Days after the last event, whichever process sweeps first; an hour after it left, not."""
    file.append("job", "x", Terms(retain_as=""))
    other.listened.add("job")
    for minute in range(2000):
        file.clock.now += 60
        # They sweep once a minute, and may come late.
        if minute % 2:
            other.sweep()
        file.sweep()
        assert is_known(file, "job")
    assert file.reader.retained("job", 0, 9).entries

    other.listened.clear()
    file.clock.now += HOUR
    file.sweep()
    assert is_known(file, "job")
    file.clock.now += HOUR / 5
    file.sweep()

    assert not is_known(file, "job")


def test_what_is_published_to_is_never_marked(file):
    """A sweep writes nothing for channels that are in use, listened to or not."""
    file.listened.add("job")
    for _ in range(100):
        for name in ("job", "unheard"):
            file.append(name)
        file.clock.now += 300
        times = file.select("SELECT published_at FROM channel")

        file.sweep()

        assert file.select("SELECT published_at FROM channel") == times


@pytest.mark.parametrize(
    "value", ["9e9", "'word'", "x'ff'", "CAST(x'ff' AS TEXT)", "9e999"]
)
def test_times_that_cannot_be_right(file, value):
    """They count from the sweep that noticed them, and keep no channel for ever."""
    file.append("job")
    file.change(f"UPDATE channel SET published_at = {value}")
    file.sweep()
    assert is_known(file, "job")

    file.clock.now += 2 * HOUR
    file.sweep()

    assert not is_known(file, "job")


def test_what_is_used_meanwhile_stays(file, other):
    """A channel that is published to between the look and the change."""
    file.append("job", "old", Terms(retain_as="x"))
    file.clock.now += 2 * HOUR
    with file.connection.reading() as connection:
        file.sweeper._look(connection)
    assert file.sweeper._forgotten
    entry = other.append("job", "new")

    file.sweep()

    assert file.reader.read("job", None, 9).head == entry.position
    assert [one.event.data for one in file.reader.retained("job", 0, 9).entries] == ["old"]


def test_a_name_that_is_none(file):
    """Another program's row, which no channel can have, is left alone."""
    file.append("job")
    file.change("UPDATE channel SET name = x'ff'")
    file.clock.now += 2 * HOUR

    file.sweep()

    assert file.select("SELECT count(*) FROM channel") == [(1,)]


def test_many_channels(file):
    """They are looked at some at a time, and all of them are."""
    for n in range(2500):
        file.append(f"job:{n}")
    file.append("kept")
    file.clock.now += HOUR
    file.listened |= {"kept", "job:2499"}
    file.sweep()
    file.clock.now += HOUR

    file.sweep()

    left = file.select("SELECT name FROM channel ORDER BY name")
    assert left == [("job:2499",), ("kept",)]


def test_the_file_shrinks(file, path):
    """The space of what was forgotten goes back to the file system."""
    for n in range(300):
        file.append(f"job:{n}", "x" * 30_000, ALL)
    file.clock.now += 2 * HOUR

    file.sweep()

    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < 3_000_000
