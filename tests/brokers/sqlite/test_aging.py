"""Where each channel has an age of its own, wrong clocks do as little as elsewhere."""

from dataclasses import replace

import pytest
from sqlite_steps import SHORT, File


class ByChannel:
    """Ten seconds of "short", 1,000 of all others."""

    def of(self, channel):
        seconds = 10 if channel == "short" else 1_000
        return replace(SHORT, events=10_000, seconds=seconds)


@pytest.fixture
def file(path):
    made = File(path, ByChannel())
    yield made
    made.connection.close()


def offsets(file, name):
    history = file.reader.read(name, None, 9_999)
    return [entry.position.offset for entry in history.entries]


# What a clock that should show 1,000,000 shows for each event, with a history of ten seconds,
# and the events that are left some seconds later. Add a row, not a test.
TIMES = {
    "right": ([0, 1, 2, 8], 13, [4]),
    "future": ([1e8, 1, 2, 8], 13, [4]),
    "future-last": ([1, 1e8, 8], 13, [2, 3]),
    "only-future": ([1e8, 1e8], 13, [1, 2]),
    "many-from-the-future": ([1e8] * 500 + [1], 13, []),
    "past-for-a-moment": ([5, -1e5, 6], 13, [1, 2, 3]),
    "past-first": ([-1e5, 6], 13, [2]),
    "back-for-good": ([0, 1, -1e5, -1e5 + 8], -1e5 + 13, [4]),
}


@pytest.mark.parametrize(("times", "now", "left"), TIMES.values(), ids=TIMES.keys())
def test_clocks_that_were_wrong(file, times, now, left):
    """One event with a wrong time keeps nothing too old, and removes nothing that is not."""
    start = file.clock.now
    for seconds in times:
        file.clock.now = start + seconds
        file.append("short")
        file.append("long")
    file.clock.now = start + now

    file.sweep()

    assert offsets(file, "short") == left


def test_nothing_follows_a_time_in_the_future(file):
    """Its event is removed as old as the moment in which a sweep came by, whatever is elsewhere."""
    start = file.clock.now
    left = []
    file.clock.now = start + 1e8
    file.append("short")
    for seconds in (0, 9, 11, 12):
        file.clock.now = start + seconds
        file.append("long")
        file.sweep()
        left.append(len(offsets(file, "short")))

    assert left == [1, 1, 0, 0]


def test_publishing_trims_its_channel_only(file):
    """At once what is too old there; of others nothing, old or not."""
    for name in ("short", "long"):
        for _ in range(3):
            file.append(name)
    file.clock.now += 50

    last = file.append("short")

    assert offsets(file, "short") == [last.position.offset] == [4]
    assert offsets(file, "long") == [1, 2, 3]
    file.clock.now += 1_000
    file.append("short")
    assert offsets(file, "long") == [1, 2, 3]
    file.sweep()
    assert offsets(file, "long") == []


def test_a_channel_behind_a_long_one(file):
    """The oldest entries of the file, which are not too old, keep no others."""
    for _ in range(3_000):
        file.append("long")
    for _ in range(3_000):
        file.append("short")
    file.clock.now += 50

    file.sweep()

    assert offsets(file, "short") == []
    assert len(offsets(file, "long")) == 3_000
