"""Bytes for a task on the hub's own loop."""

import asyncio

import pytest

from heliograph.hub.sinks import TaskSink
from heliograph.hub.sinks.sink import PAUSE_BYTES


@pytest.fixture
def aborted():
    return []


@pytest.fixture
def sink(aborted):
    return TaskSink(on_aborted=lambda: aborted.append(True), close_seconds=0.0)


async def test_pulling(sink):
    """What was written meanwhile comes at once and joined; then the task waits."""
    sink.write(b"a")
    sink.write(b"b")
    assert sink.unsent_bytes == 2
    assert await sink.pull() == b"ab"
    assert sink.unsent_bytes == 0

    waiting = asyncio.create_task(sink.pull())
    await asyncio.sleep(0)
    sink.write(b"c")

    assert await waiting == b"c"


async def test_pausing(sink, client):
    """Beyond some bytes it is paused, still takes more, and resumes when they are taken."""
    sink.attach(client)
    sink.write(b"x" * PAUSE_BYTES)
    assert not sink.paused
    sink.write(b"y")
    sink.write(b"z")
    assert sink.paused
    assert client.resumed == 0

    assert await sink.pull() == b"x" * PAUSE_BYTES + b"yz"

    assert not sink.paused
    assert client.resumed == 1


async def test_what_is_written_when_it_resumes(sink, client):
    """It is there for the next pull."""
    sink.attach(client)
    client.on_resumed = lambda: sink.write(b"more")
    sink.write(b"x" * (PAUSE_BYTES + 1))
    await sink.pull()

    assert await sink.pull() == b"more"


# (how it ends, what is still pulled, whether the task is ended whatever it waits for).
ENDS = [
    ("close", [b"last", None, None], False),
    ("abort", [None, None], True),
    ("abort", [], True),
]


@pytest.mark.parametrize(("end", "pulled", "is_aborted"), ENDS)
async def test_ends(sink, aborted, end, pulled, is_aborted):
    """Closing keeps what was written, aborting does not; nothing is taken from then on."""
    sink.write(b"last")

    getattr(sink, end)()
    sink.write(b"too late")

    assert [await sink.pull() for _ in pulled] == pulled
    assert bool(aborted) is is_aborted
    assert sink.closed is not is_aborted
    assert sink.unsent_bytes == 0


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_the_end_wakes_the_task(sink, end):
    """One that waits for bytes learns that there are none."""
    waiting = asyncio.create_task(sink.pull())
    await asyncio.sleep(0)

    getattr(sink, end)()

    assert await waiting is None


async def test_cancelling_loses_nothing(sink):
    """What came in the step of the cancellation is there for the next pull."""
    waiting = asyncio.create_task(sink.pull())
    await asyncio.sleep(0)
    sink.write(b"x")
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()

    assert await sink.pull() == b"x"


async def test_a_task_that_does_not_take_the_rest(sink, aborted):
    """It has some time after the end, and is then ended whatever it waits for."""
    sink.close()
    sink.close()
    await asyncio.sleep(0.001)
    await asyncio.sleep(0)

    assert aborted == [True]
