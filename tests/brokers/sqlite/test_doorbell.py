"""Doorbells wake other processes, and those of dead processes are removed."""

import asyncio
import contextlib
import logging
import os
import socket

import pytest
from sqlite_files import opened
from users import (
    ANN,
    BOB,
    STRANGER,
    as_root,
    program,
    said,
)

from heliograph import Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.sqlite.broker import SqliteTimings
from heliograph.brokers.sqlite.doorbell import Doorbell, ring
from heliograph.brokers.values import Terms

NO_POLL = SqliteTimings(poll_with_bell_seconds=3_600)


@contextlib.contextmanager
def hung(folder):
    bell = Doorbell(folder / "log-bells", 0o600)
    try:
        yield bell
    finally:
        bell.close()


@contextlib.asynccontextmanager
async def another_and_a_listener(path):
    """A broker that appends, and one that listens to the channel "a", woken by rings only."""
    ear = RecordingListener()
    async with (
        opened(path) as other,
        opened(path, listener=ear, timings=NO_POLL) as broker,
    ):
        await broker.listen("a")
        yield other, broker, ear


@pytest.mark.parametrize(
    ("rings", "channels"),
    [
        ([], set()),
        ([["a"]], {"a"}),
        ([["a", "b", "a"], ["ü", "\x01commands"]], {"a", "b", "ü", "\x01commands"}),
        ([["!"]], {"!"}),
        ([["a"]] * 4, {"a"}),
        # Linux keeps eleven by default, and drops what comes then.
        ([["a"]] * 5, None),
        ([["a"]] * 50, None),
        ([["a"], [f"channel-{n}" for n in range(1_000)]], None),
        # There are systems that keep no more than some KB.
        ([["a" * 255] * 2, ["b" * 255, "c" * 255], ["d" * 255, "e" * 255]], None),
    ],
)
def test_rings_name_channels(folder, rings, channels):
    """A bell knows for which channels it was rung, or that it may have been any."""
    with hung(folder) as bell:
        for names in rings:
            ring(folder / "log-bells", 0o600, names)
        assert bell.take_rings() == channels
        assert bell.take_rings() == set()


@pytest.mark.parametrize("ring", [b"!", b"\0a\xff", b"x" * 9_000, b"\0" + b"a" * 5_000])
def test_other_rings(folder, ring):
    """That of an earlier release, and what nobody sends: any channel may be meant."""
    with (
        hung(folder) as bell,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
    ):
        other.sendto(ring, str(folder / "log-bells" / bell.name))
        assert bell.take_rings() is None
        assert bell.take_rings() == set()


async def test_events_of_others_are_not_read(path):
    """What is in no channel of a process costs it no transaction; what is in one comes."""
    async with another_and_a_listener(path) as (other, broker, ear):
        await other.append("a", Event("1"))
        await ear.wait_for_entries(1)

        for _ in range(10):  # it reads once more, since there was something
            await broker._read_thread.run(int)
        seen = broker._news._seen
        for _ in range(10):
            await other.append("b", Event("x"))
            await asyncio.sleep(0.01)
        assert broker._news._seen == seen

        await other.append("a", Event("2"))
        await ear.wait_for_entries(2)
        assert [entry.event.data for entry in ear.entries] == ["1", "2"]
        assert broker._news._seen.seq == 12

        # Own events come in the order of the file, although it was not read.
        await other.append("b", Event("x"))
        await broker.append("a", Event("3"))
        await ear.wait_for_entries(3)


async def test_what_is_not_read_is_bounded(path):
    """After 64 rings for other channels the file is read all the same."""
    async with another_and_a_listener(path) as (other, broker, _):
        for n in range(64):
            await other.append("b", Event("x"))
            while broker._rings_unread <= n < 63:
                await asyncio.sleep(0.001)
        while broker._news._seen.seq < 64:
            await asyncio.sleep(0.001)
        assert broker._rings_unread == 0


async def test_all_is_read_beside_a_channel_that_has_ended(path):
    """Whether entries of its next life were lost is known by reading at once."""
    async with another_and_a_listener(path) as (other, broker, ear):
        await other.append("a", Event("1"), terms=Terms(is_end=True))
        await ear.wait_for_entries(1)
        await other.append("b", Event("x"))
        while broker._news._seen.seq < 2:
            await asyncio.sleep(0.001)


async def test_what_was_removed_before_a_channel_had_ended(path):
    """It is of no next life: entries of others that nobody has read are no gap."""
    retention = Retention(events=2, seconds=86_400)
    async with (
        opened(path, retention=retention) as other,
        opened(path, timings=NO_POLL, retention=retention) as broker,
    ):
        await other.append("ended", Event("1"), terms=Terms(is_end=True))
        await broker.listen("c")
        for _ in range(10):
            await other.append("b", Event("x"))
        await broker.listen("ended")
        await other.append("b", Event("x"))
        await broker._read_thread.run(broker._news.read)
        assert broker._news._ended == {"ended": False}


async def test_stale_bells_are_removed(path):
    """A bell of a process that was killed is taken down by the next ring."""
    bells = path.with_name(f"{path.name}-bells")
    bells.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(bells / "dead"))
    (bells / "file").write_text("not a socket")

    async with opened(path) as broker:
        await broker.append("a", Event("x"))
        names = {found.name for found in bells.iterdir()}

    assert "dead" not in names
    assert len(names) == 2 - ("file" not in names)


def foreign_bells(folder):
    bells = folder / "log-bells"
    bells.mkdir()
    os.chown(bells, STRANGER, STRANGER)
    return bells


def linked_bells(folder):
    (folder / "elsewhere").mkdir()
    (folder / "log-bells").symlink_to("elsewhere")
    return folder / "elsewhere"


@pytest.mark.parametrize(
    "prepare", [pytest.param(foreign_bells, marks=as_root), linked_bells]
)
async def test_bells_of_a_stranger(folder, prepare, caplog):
    """They are not rung, nothing is removed there, and listeners poll, which is logged once."""
    caplog.set_level(logging.WARNING)
    bells = prepare(folder)
    (bells / "file").touch()
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as spy,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead,
    ):
        spy.bind(str(bells / "spy"))
        spy.setblocking(False)
        dead.bind(str(bells / "dead"))
        dead.close()
        ear = RecordingListener()
        async with opened(folder / "log", listener=ear) as broker:
            await broker.listen("a")
            await broker.append("a", Event("x"))
            await ear.wait_for_entries(1)
            while broker._mend_bell_at == 0:
                await asyncio.sleep(0.01)

        with pytest.raises(BlockingIOError):
            spy.recv(1)
    assert {found.name for found in bells.iterdir()} == {"file", "spy", "dead"}
    assert caplog.text.count("polling without doorbells") == 1
    assert "remove it" in caplog.text


def test_only_dead_sockets_are_removed(folder):
    """Whatever else is in the folder is left alone."""
    bells = folder / "log-bells"
    bells.mkdir(mode=0o700)
    (bells / "file").touch()
    (bells / "@eaDir").mkdir()
    os.mkfifo(bells / "pipe")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(folder / "outside"))
        (bells / "link").symlink_to(folder / "outside")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(bells / "dead"))

    ring(bells, 0o600, ["a"])

    assert {found.name for found in bells.iterdir()} == {"file", "@eaDir", "link", "pipe"}


@as_root
def test_bells_that_cannot_be_removed(shared):
    """What is stored is stored: whoever publishes learns nothing of it, and can close."""
    with program(ANN, "lose-bells", shared / "log") as one:
        assert said(one) == "stored 1"
        assert said(one) == "closed 2"


@as_root
def test_two_users_ring_each_other(shared):
    """A bell that one has hung is rung by the other, and a dead one removed."""
    bells = shared / "log-bells"
    with program(ANN, "hang", bells, "0660") as one:
        assert said(one) == "hung"
        with program(BOB, "ring", bells, "0660") as other:
            assert said(other) == "rang 1"
        assert said(one) == "rung"
    with program(BOB, "ring", bells, "0660") as other:
        assert said(other) == "rang 0"
