"""Delays grow and are spread; a call is repeated until the broker can do it."""

import asyncio
import logging

import pytest

from heliograph import BrokerUnavailableError, HubClosedError
from heliograph.retry import Availability, Backoff

LOG = logging.getLogger("heliograph.tests.retry")


def new_availability():
    """Delays are so short that tests do not wait for them."""
    return Availability(
        LOG, new_backoff=lambda: Backoff(first_seconds=1e-6, longest_seconds=1e-5)
    )


class Storage:
    """Fails as often as it is told to, and counts how often it is called."""

    def __init__(self, failures, error=None):
        self.failures = failures
        self.calls = 0
        self.error = error or BrokerUnavailableError("a file", "it is locked")

    async def __call__(self):
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "done"


# (first delay, longest delay, nominal delays in their order).
DELAYS = [
    pytest.param(0.1, 5.0, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0], id="doubled-to-bound"),
    pytest.param(1.0, 1.0, [1.0, 1.0, 1.0], id="constant"),
]


@pytest.mark.parametrize(("first", "longest", "nominal"), DELAYS)
def test_delays(first, longest, nominal):
    """Each lies within half of its nominal value; after a reset they begin again."""
    backoff = Backoff(first_seconds=first, longest_seconds=longest)

    for _ in range(2):
        for expected in nominal:
            assert 0.5 * expected <= backoff.next_seconds() <= 1.5 * expected
        backoff.reset()


def test_delays_are_spread():
    """Processes that fail in the same instant do not return in the same instant."""
    assert len({Backoff().next_seconds() for _ in range(20)}) > 1


async def test_retry():
    """The call is repeated until it succeeds, and its result is returned."""
    availability, storage = new_availability(), Storage(failures=3)

    assert await availability.retry("read", storage) == "done"

    assert (storage.calls, availability.available) == (4, True)


async def test_each_retry_has_delays_of_its_own():
    """What fails for the first time is repeated soon, however long others wait already."""
    made = []

    def new_backoff():
        made.append(Backoff(first_seconds=1e-6))
        return made[-1]

    availability = Availability(LOG, new_backoff=new_backoff)

    await availability.retry("read", Storage(failures=1))
    await availability.retry("read", Storage(failures=1))

    assert len(made) == 2


async def test_a_mistake_is_not_repeated():
    """Only what may pass is: any other error is raised by the first call."""
    storage = Storage(failures=1, error=ValueError("x"))
    availability = new_availability()

    with pytest.raises(ValueError, match="x"):
        await availability.retry("read", storage)

    assert (storage.calls, availability.available) == (1, True)


async def test_call():
    """It is done once, and its failure is recorded under its name."""
    availability, storage = new_availability(), Storage(failures=1)

    with pytest.raises(BrokerUnavailableError, match="locked"):
        await availability.call("append", storage)
    assert not availability.available
    assert await availability.call("read", storage) == "done"
    # To be able to read is not to be able to append.
    assert not availability.available

    assert await availability.call("append", storage) == "done"

    assert availability.available


async def test_a_cancelled_retry_does_not_count_as_failing():
    """Nobody waits for the operation any more, so nobody could record its success."""
    availability, failed = new_availability(), asyncio.Event()

    async def fail():
        failed.set()
        raise BrokerUnavailableError("a file", "it is locked")

    task = asyncio.create_task(availability.retry("append", fail))
    await failed.wait()
    await asyncio.sleep(0)
    assert not availability.available

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert availability.available


def test_a_connection_that_is_back_forgets_failures():
    """Operations may succeed again; until then none of them keeps the broker unavailable."""
    availability = new_availability()
    availability.on_failure("append", "x")
    availability.on_connection(up=False, reason="x")

    availability.on_success("append")
    assert not availability.available
    availability.on_failure("append", "x")
    availability.on_connection(up=True, reason="")

    assert availability.available


def test_changes_are_logged_once(caplog):
    """One line each, however many operations fail in between."""
    caplog.set_level(logging.WARNING)
    availability = new_availability()

    for operation in ("append", "read", "append"):
        availability.on_failure(operation, f"{operation} failed")
    for operation in ("append", "read", "listen"):
        availability.on_success(operation)

    assert [(r.name, r.message) for r in caplog.records] == [
        (LOG.name, "the broker is unavailable: append failed"),
        (LOG.name, "the broker is available again"),
    ]


async def test_closing_ends_retries():
    """Who waits for the next try is told at once; what was called before may succeed."""
    availability, missing = new_availability(), Storage(failures=9e9)
    availability.new_backoff = lambda: Backoff(first_seconds=9e9, longest_seconds=9e9)
    waiting = asyncio.create_task(availability.retry("append", missing))
    while availability.available:
        await asyncio.sleep(0)

    availability.close()

    with pytest.raises(HubClosedError, match="it is locked"):
        await waiting
    assert await availability.retry("append", Storage(failures=0)) == "done"
    with pytest.raises(HubClosedError):
        await availability.retry("append", missing)
    assert missing.calls == 2
