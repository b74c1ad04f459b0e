"""Background tasks: how they start, fail and end."""

import asyncio
import contextvars

from heliograph.hub.tasks import Tasks

REQUEST = contextvars.ContextVar("request")


async def test_a_task_returns_its_result():
    """And is forgotten when it has ended."""
    tasks = Tasks()

    async def work():
        return 5

    assert await tasks.start(work()) == 5
    await asyncio.sleep(0)
    assert not tasks._tasks


async def test_a_task_keeps_no_request():
    """Its context is empty, whatever the caller's holds."""
    tasks = Tasks()
    REQUEST.set("of a framework, with everything that depends on it")

    async def work():
        return REQUEST.get(None)

    assert await tasks.start(work()) is None


async def test_a_task_that_fails_is_logged(caplog):
    """The others continue; a task that is cancelled is no failure."""
    tasks = Tasks()

    async def fail():
        raise ZeroDivisionError("a bug")

    failed, other = tasks.start(fail()), tasks.start(asyncio.sleep(600))
    await asyncio.wait({failed})
    await asyncio.sleep(0)
    assert caplog.text.count("a task of the hub has failed") == 1
    assert "a bug" in caplog.text
    assert not other.done()

    await tasks.cancel_all()

    assert other.cancelled()
    assert caplog.text.count("a task of the hub has failed") == 1


async def test_cancelling_waits_for_the_end():
    """A task that has something to do when it is cancelled does it."""
    tasks, done = Tasks(), []

    async def work():
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0)
            done.append("cleaned up")

    tasks.start(work())
    await asyncio.sleep(0)

    await tasks.cancel_all()

    assert done == ["cleaned up"]
    assert not tasks._tasks


async def test_a_task_that_is_started_while_all_are_cancelled():
    """It is cancelled, too: nothing of a hub outlives it."""
    tasks, started = Tasks(), []

    async def work():
        try:
            await asyncio.sleep(600)
        finally:
            started.append(tasks.start(asyncio.sleep(600)))

    tasks.start(work())
    await asyncio.sleep(0)

    await tasks.cancel_all()

    assert started[0].cancelled()
    assert not tasks._tasks


async def test_cancelling_when_one_has_just_ended():
    """Nobody has been told yet that it is done."""
    tasks, ending = Tasks(), asyncio.Event()

    async def work():
        ending.set()

    task = tasks.start(work())
    await ending.wait()
    assert task.done()

    await tasks.cancel_all()

    assert not tasks._tasks
