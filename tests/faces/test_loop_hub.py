"""A hub belongs to the loop that uses it."""

import asyncio
import gc
import os
import threading
import time

import pytest

from heliograph.asgi import EventStreams
from programs import run


def test_loops():
    """It belongs to a loop; when that is gone it begins anew on another."""
    streams = EventStreams("memory:")

    async def use():
        await streams.publish("x")

    async def use_elsewhere():
        await use()
        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, use())
        await streams.close()

    asyncio.run(use_elsewhere())
    asyncio.run(use_elsewhere())


async def test_closing_while_it_opens():
    """What is being opened is closed; another loop has to wait until then."""
    streams = EventStreams("memory:")
    publishing = asyncio.create_task(streams.publish("x"))
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(asyncio.run, streams.publish("y"))
    await asyncio.gather(streams.close(), publishing, return_exceptions=True)
    assert streams._hub.hub is None


async def test_a_request_is_cancelled_as_the_hub_is_open():
    """The hub is kept for the next request, and closed with the streams."""
    before = asyncio.all_tasks()
    streams = EventStreams("memory:")
    publishing = asyncio.create_task(streams.publish("x"))
    await asyncio.sleep(0)
    (opening,) = asyncio.all_tasks() - before - {publishing}
    while not opening.done():
        await asyncio.sleep(0)

    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing

    hub = streams._hub.hub
    await streams.publish("x")
    assert hub is streams._hub.hub is not None
    await streams.close()
    assert asyncio.all_tasks() == before


@pytest.mark.timeout(60)  # it waits for what nobody closes
def test_loops_that_end_without_closing(tmp_path):
    """What they had open is dropped, as test clients of frameworks do with each request."""
    streams = EventStreams(f"sqlite:///{tmp_path}/log")

    def use():
        asyncio.run(streams.publish("x"))
        gc.collect()
        return threading.active_count() + len(os.listdir("/proc/self/fd"))

    before = use()
    deadline = time.monotonic() + 20
    # Each would leave two threads and eight descriptors; threads take a moment to end.
    while (now := [use() for _ in range(20)][-1]) > before + 20:
        assert time.monotonic() < deadline, (before, now)


# How an application forks, on the loop that has opened its hub. Add a row, not a test.
FORKS = {
    "in a coroutine": """
pid = os.fork()
if not pid:
    child()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
""",
    "multiprocessing": """
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
assert process.exitcode == 0
""",
}


@pytest.mark.parametrize("how", FORKS)
def test_a_fork(tmp_path, how):
    """The child begins anew on a loop of its own, and the parent goes on."""
    out = run(
        """
        import asyncio, multiprocessing, os, sys
        from heliograph.asgi import EventStreams
        streams = EventStreams(sys.argv[1])
        def child():
            for _ in range(2):
                print(asyncio.run(streams.publish("child")).rpartition("-")[2], flush=True)
        async def main():
            async with streams.subscribe() as events:
                print((await streams.publish("parent")).rpartition("-")[2], flush=True)
                exec(sys.argv[2])
                print((await streams.publish("parent")).rpartition("-")[2])
                print(*[(await anext(events)).data for _ in range(4)])
            await streams.close()
        asyncio.run(main())
        """,
        f"sqlite:///{tmp_path}/log",
        FORKS[how],
    )

    assert out.split() == ["1", "2", "3", "4", "parent", "child", "child", "parent"]


def test_a_relative_file(tmp_path, monkeypatch, caplog):
    """Its whole path is in a warning, once for each process: others may have another file."""
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        asyncio.run(publish_and_close(EventStreams("sqlite:///log?mode=0640")))
        asyncio.run(publish_and_close(EventStreams(f"sqlite:///{tmp_path}/log?mode=0640")))

    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert f"is the file {tmp_path}/log, below the current folder" in record.getMessage()
    assert f"Write sqlite:///{tmp_path}/log" in record.getMessage()


async def publish_and_close(streams):
    async with streams:
        await streams.publish("x")
