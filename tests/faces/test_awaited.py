"""Coroutines that say so if they are dropped: what awaits them, and what does not."""

import asyncio
import gc
import inspect
import logging

import pytest
from asgiref.sync import async_to_sync
from fastapi import BackgroundTasks, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from heliograph.asgi import EventStreams
from uvicorns import request, serving


async def in_a_task_group(coroutine):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(coroutine)
    return task.result()


async def with_a_context(coroutine):
    import contextvars

    return await asyncio.create_task(coroutine, context=contextvars.copy_context())


async def gathered(coroutine):
    return (await asyncio.gather(coroutine))[0]


async def shielded(coroutine):
    return await asyncio.shield(coroutine)


async def waited_for_in_turn(coroutine):
    (first,) = asyncio.as_completed([coroutine])
    return await first


async def from_another_thread(coroutine):
    loop = asyncio.get_running_loop()
    future = await asyncio.to_thread(asyncio.run_coroutine_threadsafe, coroutine, loop)
    return await asyncio.wrap_future(future)


# What an application may do with a coroutine. Add a row, not a test.
AWAITED = {
    "await": lambda coroutine: coroutine,
    "create_task": asyncio.create_task,
    "a context": with_a_context,
    "ensure_future": asyncio.ensure_future,
    "gather": gathered,
    "wait_for": lambda coroutine: asyncio.wait_for(coroutine, 10),
    "shield": shielded,
    "as_completed": waited_for_in_turn,
    "TaskGroup": in_a_task_group,
    "run_coroutine_threadsafe": from_another_thread,
}


@pytest.mark.parametrize("way", AWAITED)
async def test_awaited(way, caplog):
    """It is a coroutine for all of asyncio, and nothing is logged."""
    async with EventStreams("memory:") as streams:
        id = await AWAITED[way](streams.publish("x", channel="a"))
        assert (await streams.last("a")).id == id
    gc.collect()
    assert not caplog.records


async def test_errors_arrive(caplog):
    """Those of the method, and those that are thrown into it."""
    async with EventStreams("memory:") as streams:
        with pytest.raises(ValueError, match="channel"):
            await streams.publish("x", channel="")
        task = asyncio.create_task(streams.publish("x"))
        await streams._hub._changing.acquire()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        streams._hub._changing.release()
    assert not caplog.records


def dropped(streams):
    streams.publish("x")


def kept_for_a_while(streams):
    coroutine = streams.end("a")
    assert inspect.isawaitable(coroutine)
    del coroutine


# What is never awaited, and whether that is logged. Closing it is on purpose.
DROPPED = {
    "dropped": (dropped, "publish(…) was not awaited"),
    "kept": (kept_for_a_while, "end(…) was not awaited"),
    "closed": (lambda streams: streams.publish("x").close(), None),
}


@pytest.mark.parametrize("how", DROPPED)
def test_dropped(how, caplog):
    """An error says what was lost and what to write; Python's own warning says less."""
    drop, text = DROPPED[how]
    drop(EventStreams("memory:"))
    gc.collect()

    assert [record.name for record in caplog.records] == [
        *["heliograph.events"][: bool(text)]
    ]
    for record in caplog.records:
        assert record.levelno == logging.ERROR
        assert text in record.getMessage()
        assert "publish_sync or publish_soon" in record.getMessage()


async def test_cancelled_before_it_began(caplog):
    """Whoever cancels a task knows that it has done nothing."""
    async with EventStreams("memory:") as streams:
        task = asyncio.create_task(streams.publish("x"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()
    assert not caplog.records


def test_from_sync_code(caplog):
    """A loop of asgiref's runs it, as Django does."""
    streams = EventStreams("memory:")
    assert async_to_sync(streams.publish)("x")
    gc.collect()
    assert not caplog.records


@pytest.mark.parametrize("framework", ["fastapi", "starlette"])
async def test_background_tasks(framework, caplog):
    """They take the method for the coroutine function that it is, also on Python 3.11."""
    streams = EventStreams("memory:")
    if framework == "fastapi":
        app = FastAPI()

        @app.get("/")
        async def add(background: BackgroundTasks):
            background.add_task(streams.publish, "x", channel="a")

    else:

        async def view(request):
            task = BackgroundTask(streams.publish, "x", channel="a")
            return PlainTextResponse("", background=task)

        app = Starlette(routes=[Route("/", view)])
    async with streams, streams.subscribe("a") as events, serving(app) as port:
        await (await request(port)).ended()
        assert (await anext(events)).data == "x"
    assert not caplog.records


async def test_a_plain_endpoint_that_drops_it(caplog):
    """FastAPI answers 200, so the log is the only one that knows."""
    streams = EventStreams("memory:")
    app = FastAPI()

    @app.get("/")
    def plain():
        streams.publish("x")

    async with streams, serving(app) as port:
        assert (await (await request(port)).ended()).status == 200
        assert await streams.last("sse") is None
    (record,) = caplog.records
    assert "publish(…) was not awaited, so it has done nothing" in record.getMessage()
