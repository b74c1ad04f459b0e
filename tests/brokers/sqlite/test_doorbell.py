"""Doorbells wake other processes, and those of dead processes are removed."""

import asyncio
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
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.sqlite.doorbell import ring


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

    ring(bells, 0o600)

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
