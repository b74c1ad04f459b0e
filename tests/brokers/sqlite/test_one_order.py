"""
Own commits that are handed on at once, and others that are read: one order, once.

Several processes append to a file and follow it. The steps of each are those between which
others can come: to commit, to offer the commit, to read, to take, to change what is
listened to. The model of a process is the list of what it must be given, in the order of
the commits of all processes.
"""

import logging
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from sqlite_files import RETENTION

from heliograph import Event
from heliograph.brokers.once import OnceLog
from heliograph.brokers.sqlite.connection import Connection
from heliograph.brokers.sqlite.news import News
from heliograph.brokers.sqlite.restored import HighestSeq
from heliograph.brokers.sqlite.writing import Writer
from heliograph.brokers.values import PLAIN

CHANNELS = ("a", "b", "c")
PROCESSES = range(3)


class Process:
    """The two threads of a process, one step at a time."""

    def __init__(self, path):
        self.writing, self.reading = Connection(path), Connection(path)
        shared = HighestSeq(path), OnceLog(logging.getLogger())
        self.writer = Writer(self.writing, RETENTION, time.time, *shared)
        self.news = News(self.reading, *shared)
        self.listened = set()
        # What is committed and not yet offered, and how many entries there were then.
        self.commit = None
        # (entry, how many entries there were with it), in the order of the commits; and of
        # those which need not come, since their channel is no longer listened to.
        self.expected = []
        self.optional = set()

    def take(self, at_most=10_000):
        for entry in self.news.take(at_most):
            while self.expected[0][0] != entry:
                assert self.expected.pop(0)[1] in self.optional, entry
            self.expected.pop(0)

    def missing(self, until):
        self.take()
        return [n for _, n in self.expected if n <= until and n not in self.optional]

    def close(self):
        self.writing.close()
        self.reading.close()


class OneOrder(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.processes = [Process(self.folder / "log") for _ in PROCESSES]
        self.heads = dict.fromkeys(CHANNELS, 0)
        self.count = 0

    @rule(
        number=st.sampled_from(PROCESSES),
        batch=st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=4),
    )
    def append(self, number, batch):
        process = self.processes[number]
        if process.commit is not None:
            # As the thread that writes does before the next batch.
            self.offer(number)
        commit = process.writer.append([(name, Event(name), PLAIN) for name in batch])
        for entry in commit.entries:
            self.count += 1
            self.heads[entry.channel] += 1
            assert entry.position.offset == self.heads[entry.channel]
            for other in self.processes:
                if entry.channel in other.listened:
                    other.expected.append((entry, self.count))
        process.commit = commit, self.count

    @precondition(lambda self: any(one.commit for one in self.processes))
    @rule(number=st.sampled_from(PROCESSES))
    def offer(self, number):
        process = self.processes[number]
        if process.commit is None:
            return
        (commit, until), process.commit = process.commit, None
        is_done = process.news.offer(commit)
        event(f"offer: {is_done}")
        if is_done:
            # Nobody will look into the file for it.
            assert not process.missing(until)

    @rule(number=st.sampled_from(PROCESSES))
    def read(self, number):
        self.processes[number].news.read()

    @rule(number=st.sampled_from(PROCESSES), at_most=st.integers(1, 3))
    def take(self, number, at_most):
        self.processes[number].take(at_most)

    @rule(
        number=st.sampled_from(PROCESSES),
        changes=st.lists(
            st.tuples(st.sampled_from(CHANNELS), st.booleans()), min_size=1, max_size=4
        ),
    )
    def change(self, number, changes):
        process = self.processes[number]
        found = process.news.change(changes)
        for (name, is_included), head in zip(changes, found, strict=True):
            assert (None if head is None else head.head.offset) == (
                self.heads[name] if is_included else None
            )
            if is_included:
                process.listened.add(name)
            else:
                process.listened.discard(name)
            # What was under way before it need not come; it is in the head.
            process.optional |= {n for one, n in process.expected if one.channel == name}

    @rule(number=st.sampled_from(PROCESSES), which=st.sampled_from(["writing", "reading"]))
    def connect_anew(self, number, which):
        getattr(self.processes[number], which).close()

    @rule()
    def another_file(self):
        """All follow into the file that takes the place of one that was removed."""
        self.all_is_given()
        for found in self.folder.iterdir():
            found.unlink()
        self.heads = dict.fromkeys(CHANNELS, 0)

    def all_is_given(self):
        for number, process in enumerate(self.processes):
            self.offer(number)
            while process.news.read():
                pass
            assert not process.missing(self.count)

    def teardown(self):
        self.all_is_given()
        for process in self.processes:
            process.close()
        shutil.rmtree(self.folder)


OneOrder.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestOneOrder = pytest.mark.exhaustive(pytest.mark.timeout(120)(OneOrder.TestCase))


@pytest.fixture
def two(path):
    processes = [Process(path), Process(path)]
    for process in processes:
        process.news.change([("a", True)])
    yield processes
    for process in processes:
        process.close()


def append(process, data):
    return process.writer.append([("a", Event(data), PLAIN)])


def given(process):
    return [entry.event.data for entry in process.news.take(9)]


def test_an_own_commit_is_handed_on_without_reading(two):
    """The file is not read for it, nor for the next one."""
    here, _ = two

    assert here.news.offer(append(here, "1"))
    assert here.news.offer(append(here, "2"))

    assert given(here) == ["1", "2"]
    assert not here.news.read()


def test_an_entry_of_another_process_comes_first(two):
    """An own commit waits until what is before it in the file has been read."""
    here, there = two
    append(there, "1")

    assert not here.news.offer(append(here, "2"))

    assert given(here) == []
    assert here.news.read()
    assert given(here) == ["1", "2"]


def test_an_entry_of_another_process_comes_between(two):
    """What was committed after it, and before it is offered, is read afterwards."""
    here, there = two
    mine = append(here, "1")
    append(there, "2")

    assert here.news.offer(mine)

    assert given(here) == ["1"]
    assert here.news.read()
    assert given(here) == ["2"]


def test_another_file_with_the_same_numbers(two, path):
    """What another process has stored in it before is not passed over."""
    here, there = two
    here.news.offer(append(here, "lost"))
    here.news.take(1)
    path.unlink()
    append(there, "1")

    assert not here.news.offer(append(here, "2"))

    here.news.read()
    assert given(here) == ["1", "2"]


def test_an_entry_of_the_head_is_not_new(two):
    """Who begins to listen between a commit and its offer has it in the head."""
    here, _ = two
    here.news.change([("a", False)])
    mine = append(here, "1")
    (head,) = here.news.change([("a", True)])

    assert head.head.offset == 1
    here.news.offer(mine)
    here.news.read()
    assert given(here) == []


def test_numbers_that_another_program_has_changed(two):
    """A commit whose numbers are not known is read."""
    here, there = two
    with there.writing.writing() as connection:
        connection.execute("DELETE FROM sqlite_sequence")
        connection.execute("INSERT INTO sqlite_sequence VALUES ('entry', 7)")

    here.news.offer(append(here, "1"))

    here.news.read()
    assert given(here) == ["1"]
