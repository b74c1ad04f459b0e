"""One connection listens for a process, and stays as long as Redis answers."""

import asyncio
import errno
import gc
import subprocess
import sys
from pathlib import Path

import pytest
from on_redis import opened

from heliograph import Event
from heliograph.brokers.contract import RecordingListener
from streams import until


async def test_one_connection_listens(server):
    """However many channels there are."""
    async with opened(server.url) as broker:
        for n in range(50):
            await broker.listen(f"c{n}")
        with server.client() as client:
            assert len(client.client_list(_type="pubsub")) == 1


async def test_listening_while_it_connects(server):
    """Channels that come one after the other are all heard at once."""
    ear = RecordingListener()
    # Long enough to fail by the test's own limit: nobody is left for a second try.
    async with opened(server.url, ear, subscribe_seconds=100.0) as broker:
        listening = []
        for n in range(50):
            listening.append(asyncio.create_task(broker.listen(f"c{n}")))
            await asyncio.sleep(0)
        await asyncio.gather(*listening)

        for n in range(50):
            await broker.append(f"c{n}", Event("x"))

        assert len(await ear.wait_for_entries(50)) == 50


def pings_of(server):
    with server.client() as client:
        return client.info("commandstats")["cmdstat_ping"]["calls"]


async def test_silence(server, caplog):
    """A listener that hears nothing for long hears what comes then."""
    ear = RecordingListener()
    async with opened(server.url, ear, silence_seconds=1.0) as broker:
        await broker.listen("a")
        (node,) = broker._routing.topology.nodes
        task, before = node.line._task, pings_of(server)
        await until(lambda: pings_of(server) >= before + 2)

        entry = await broker.append("a", Event("x"))

        assert await ear.wait_for_entries(1) == [entry]
        assert node.line._task is task
        assert ear.connection == []
    assert caplog.text == ""


async def test_a_connection_that_times_out(server, caplog):
    """It is told as that, and listening goes on."""
    ear = RecordingListener()
    async with opened(server.url, ear) as broker:
        await broker.listen("a")
        (node,) = broker._routing.topology.nodes
        # What a transport does with the error of the kernel.
        error = TimeoutError(errno.ETIMEDOUT, "Connection timed out")
        node.line._subscription._connection._reader.set_exception(error)
        await until(lambda: len(ear.connection) == 2)
        entry = await broker.append("a", Event("x"))

        assert await ear.wait_for_entries(1) == [entry]
        assert ear.connection == [False, True]
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("steps", range(6))
async def test_closed_as_the_connection_ends(server, caplog, steps):
    """Nothing is logged of it, whichever comes first."""
    async with opened(server.url) as broker:
        await broker.listen("a")
        (node,) = broker._routing.topology.nodes
        node.line._subscription._connection._writer.transport.abort()
        for _ in range(steps):
            await asyncio.sleep(0)
        await node.line.close()
    gc.collect()
    assert "never retrieved" not in caplog.text


def test_a_loop_that_is_dropped(server):
    """The end of a process that does not close its broker leaves no traceback of the line."""
    program = Path(__file__).parent.parent / "programs/drop_loop.py"

    done = subprocess.run(
        [sys.executable, program, server.url],
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout == "listening\n"
    assert "Traceback" not in done.stderr
