"""A time limit for many blocks, with one timer for all of them."""

import asyncio
import contextvars
import gc
import weakref

import pytest

from heliograph.hub.time_limit import TimeLimit

asking = contextvars.ContextVar("asking")


class LateError(Exception):
    pass


async def test_blocks_that_take_too_long():
    """Each in its turn, from the time at which it began."""
    limit = TimeLimit(0.1, LateError)
    loop = asyncio.get_running_loop()
    over = []

    async def wait(n):
        await asyncio.sleep(n * 0.03)
        began = loop.time()
        with pytest.raises(LateError) as error, limit():
            await asyncio.sleep(60)
        assert isinstance(error.value.__cause__, TimeoutError)
        assert asyncio.current_task().cancelling() == 0
        over.append((n, loop.time() - began >= 0.1))
        await asyncio.sleep(0)  # it is not cancelled any more

    await asyncio.gather(*map(wait, range(5)))

    assert over == [(n, True) for n in range(5)]
    assert not limit._running


async def test_blocks_that_end_in_time():
    """Nothing is cancelled, and nothing is left of them; others go on."""
    limit = TimeLimit(0.05, LateError)
    with limit():
        await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError), limit():
        raise ZeroDivisionError
    assert not limit._running
    await asyncio.sleep(0.03)
    with pytest.raises(LateError), limit():
        await asyncio.sleep(60)
    await asyncio.sleep(0.06)
    assert limit._timer is None


async def test_no_limit():
    """Nothing is looked at."""
    limit = TimeLimit(None, LateError)
    with limit():
        await asyncio.sleep(0)
    assert limit._timer is None


async def test_a_task_that_somebody_else_cancels():
    """That is what it is told, also if its time is over at the same moment."""
    for waits in (0.0, 0.02):
        limit = TimeLimit(0.01, LateError)

        async def run(limit=limit):
            with limit():
                await asyncio.sleep(60)

        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        (block,) = limit._running
        task.cancel()
        if waits:
            block.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()


async def test_nothing_keeps_a_context():
    """The timer of the first block is that of others, too."""

    class Request:
        pass

    limit = TimeLimit(60, LateError)
    request = Request()
    kept = weakref.ref(request)

    async def run(request):
        asking.set(request)
        with limit():
            await asyncio.sleep(0)

    await asyncio.create_task(run(request))
    del request
    await asyncio.sleep(0)
    gc.collect()
    assert limit._timer is not None
    assert kept() is None
    limit._timer.cancel()
