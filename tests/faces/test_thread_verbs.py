"""Publishing from threads, and from functions that cannot await."""

import asyncio
import concurrent.futures
import logging
import threading

import pytest
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from heliograph import EventTooLargeError, HubClosedError, InvalidFieldError
from heliograph.asgi import EventStreams
from streams import until
from uvicorns import request, serving


async def test_a_plain_endpoint():
    """Before anything else has opened the streams, and with each keyword."""
    streams = EventStreams("memory:")
    app = FastAPI()

    @app.post("/sync")
    def sync():
        return streams.publish_sync({"a": 1}, type="t", channel="a", retain=True, key="k")

    @app.post("/soon")
    def soon():
        streams.publish_soon("two", channel="a")

    async with serving(app) as port:
        first = await (await request(port, "sync", method="POST")).ended()
        await (await request(port, "soon", method="POST")).ended()
        id = first.body.decode().strip('"')
        async with streams.subscribe("a", last_event_id=id) as events:
            assert (await anext(events)).data == "two"
        assert (await streams.last("a", key="k")).type == "t"
        await streams.close()


@pytest.mark.parametrize("way", ["anyio", "to_thread", "thread"])
async def test_threads(way):
    """Any thread, once the streams are open; errors are those of publish."""

    def publish():
        with pytest.raises(EventTooLargeError):
            streams.publish_sync("x" * 300_000)
        with pytest.raises(InvalidFieldError):
            streams.publish_sync("x", channel="")
        with pytest.raises(InvalidFieldError):
            streams.publish_soon("x", channel="")
        return streams.publish_sync("x")

    async def called(function):
        if way == "anyio":
            return await run_in_threadpool(function)
        if way == "to_thread":
            return await asyncio.to_thread(function)
        results = []
        thread = threading.Thread(target=lambda: results.append(function()))
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.001)
        return results[0]

    async with EventStreams("memory:") as streams:
        start = await streams.position()
        id = await called(publish)
        for number in range(20):
            await called(lambda number=number: streams.publish_soon(number))
        async with streams.subscribe(last_event_id=start) as events:
            got = [await anext(events) for _ in range(21)]
    assert got[0].id == id
    assert [event.data for event in got] == ["x", *map(str, range(20))]


async def test_on_the_loop(caplog):
    """publish_sync would wait for itself; publish_soon does not wait."""
    streams = EventStreams("memory:")
    with pytest.raises(
        RuntimeError, match=r"await streams\.publish\(…\), or .*publish_soon"
    ):
        streams.publish_sync("x")
    data = {"n": 1}
    streams.publish_soon(data)
    data["n"] = 2
    streams.publish_soon("x" * 300_000)
    streams.publish_soon("last")
    await until(lambda: not streams._hub.tasks._tasks and streams._hub.hub)
    async with streams.subscribe(start="start") as events:
        assert [(await anext(events)).data for _ in range(2)] == ['{"n": 1}', "last"]
    await streams.close()
    (record,) = [record for record in caplog.records if record.name == "heliograph.events"]
    assert record.levelno == logging.ERROR
    assert "publish_soon" in record.getMessage()


async def test_close_waits_for_what_is_published():
    """What was published before it is stored, and given to whoever listens."""
    async with EventStreams("memory:") as streams, streams.subscribe() as events:
        for number in range(5):
            streams.publish_soon(number)
        await streams.close()
        assert streams._hub.hub is None
        assert [event.data async for event in events] == [*"01234"]


def test_no_loop():
    """The error says how to open the streams, and what to use without a server."""
    streams = EventStreams("memory:")
    for publish in [streams.publish_sync, streams.publish_soon]:
        with pytest.raises(
            RuntimeError, match=r"not opened yet.*lifespan.*Publisher\(url\)"
        ):
            publish("x")
    asyncio.run(streams.publish("x"))
    for publish in [streams.publish_sync, streams.publish_soon]:
        with pytest.raises(RuntimeError, match="used on a loop that ended"):
            publish("x")
    asyncio.run(streams.close())


def test_the_loop_ends_meanwhile(caplog):
    """A thread that waits is told, and does not wait for ever."""
    streams = EventStreams("memory:")
    waiting = threading.Event()

    def publish():
        waiting.set()
        return streams.publish_sync("x")

    async def main(pool):
        await streams.publish("x")
        # Nothing is published any more, and nothing opened.
        await streams._hub._changing.acquire()
        streams.publish_soon("lost")
        future = pool.submit(publish)
        while not waiting.is_set():
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        return future

    with concurrent.futures.ThreadPoolExecutor() as pool:
        future = asyncio.run(main(pool))
        with pytest.raises(HubClosedError, match="has ended"):
            future.result()
    assert "may be lost" in caplog.text
