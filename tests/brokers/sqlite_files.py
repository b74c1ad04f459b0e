"""What several tests of the SQLite broker need."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph import BrokerUnavailableError, ConfigError, Event
from heliograph.brokers import Retention
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.sqlite import SqliteBroker

PROGRAMS = Path(__file__).parent / "programs"


RETENTION = Retention(events=100_000, seconds=86_400)


@contextlib.asynccontextmanager
async def opened(path, listener=None, retention=RETENTION, **options):
    broker = SqliteBroker(path, retention, **options)
    await broker.open(listener or RecordingListener())
    try:
        yield broker
    finally:
        await broker.close()


async def read_all(broker, channel):
    """The whole history, page by page."""
    entries, after = [], None
    while True:
        page = await broker.read(channel, after, 10_000)
        if not page.entries:
            return entries, page.head
        entries += page.entries
        after = entries[-1].position


def run_program(name, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, PROGRAMS / name, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROGRAMS.parent)},
        **options,
    )


def inode(path):
    return path.stat().st_ino


def spoil(path):
    """Replace a database by a file that is none, as a program with a wrong path may."""
    other = path.with_name("other")
    other.write_text("this is certainly not a database" * 100)
    other.replace(path)


async def expect_refused(path, words):
    """What will not pass by itself is a mistake of the configuration, found at the start."""
    with pytest.raises(ConfigError, match=words) as caught:
        await SqliteBroker(path, RETENTION).open(RecordingListener())
    assert str(path) in str(caught.value)


async def expect_unavailable(broker, path, words):
    for call in (broker.append("a", Event("x")), broker.read("a", None, 1)):
        with pytest.raises(BrokerUnavailableError) as caught:
            await call
        assert caught.value.resource == str(path)
        assert any(word in caught.value.reason for word in words), caught.value.reason
