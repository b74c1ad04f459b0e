"""Tasks of the Redis broker: how they are cancelled and waited for."""

import asyncio
import contextvars

from heliograph.brokers.redis.tasks import Endings, cancel

REQUEST = contextvars.ContextVar("request")


async def test_a_cancellation_that_is_lost():
    """It is repeated until the task has ended."""
    lost = []

    async def work():
        while len(lost) < 2:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                lost.append(True)
        await asyncio.sleep(600)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)

    await cancel(task)

    assert lost == [True, True]
    assert task.cancelled()
    await cancel(task)
    await cancel(None)


async def test_endings_are_waited_for():
    """Also those that another one adds; none keeps the context of a request."""
    endings, done = Endings(), []
    REQUEST.set("with everything that belongs to it")

    async def second():
        done.append(REQUEST.get(None))

    async def first():
        await asyncio.sleep(0)
        endings.add(second())

    endings.add(first())

    await endings.wait()

    assert done == [None]


async def test_an_ending_that_fails(caplog):
    """It is logged, and no other one is held up."""
    endings, done = Endings(), []

    async def fail():
        raise ZeroDivisionError("a bug")

    async def work():
        done.append(True)

    endings.add(fail())
    endings.add(work())
    await endings.wait()
    await asyncio.sleep(0)

    assert done == [True]
    assert "cannot stop listening" in caplog.text
    assert "a bug" in caplog.text
