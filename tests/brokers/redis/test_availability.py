"""Publishing while Redis cannot be reached, and telling listeners of it."""

import asyncio

import pytest
from on_redis import hub_at
from redis.asyncio.sentinel import MasterNotFoundError

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers.contract import RecordingListener
from heliograph.brokers.redis.availability import LineStates, unavailable_errors
from streams import until

UNAVAILABLE_ONCE = ["the broker is unavailable", "the broker is available again"]


def said_of_brokers(caplog):
    return [
        record.message.partition(":")[0]
        for record in caplog.records
        if "broker" in record.message
    ]


async def test_a_publish_that_waits(own_server, caplog):
    """It is done when Redis is back. One line says that it went, and one that it came."""
    async with hub_at(own_server.url, publish_waits=True) as hub:
        await hub.publish(["a"], Event("before"))
        own_server.kill()
        waiting = [asyncio.create_task(hub.publish(["a"], Event(str(n)))) for n in range(3)]
        await until(lambda: not hub.statistics().broker_available)
        await asyncio.sleep(0.3)
        own_server.start()

        entries = await asyncio.gather(*waiting)

        assert sorted(entry.position.offset for (entry,) in entries) == [2, 3, 4]
        await until(lambda: hub.statistics().broker_available)
        assert said_of_brokers(caplog) == UNAVAILABLE_ONCE


async def test_redis_loads_its_data(own_server, caplog):
    """It accepts subscriptions and refuses the rest: nothing is available until it has loaded."""
    async with hub_at(own_server.url, publish_waits=True) as hub:
        await hub.publish(["a"], Event("before"))
        own_server.load_slowly(keys=200, delay_us=10_000)
        await until(lambda: not hub.statistics().broker_available)
        waiting = asyncio.create_task(hub.publish(["a"], Event("x")))
        looks = []

        loading = True
        while loading:
            looks.append(hub.statistics().broker_available)
            await asyncio.sleep(0.01)
            # Asked after the look: whoever still loads was loading then.
            loading = await asyncio.to_thread(own_server.is_loading)

        assert len(looks) > 10
        assert not any(looks[:-1])
        (entry,) = await waiting
        assert entry.position.offset == 2
        await until(lambda: hub.statistics().broker_available)
        assert said_of_brokers(caplog) == UNAVAILABLE_ONCE


async def test_a_publish_that_does_not_wait(own_server):
    """It fails at once, with the address; one that waits fails when its time is over."""
    async with (
        hub_at(own_server.url) as hub,
        hub_at(own_server.url, publish_waits=True, publish_timeout_seconds=0.2) as patient,
    ):
        own_server.kill()

        with pytest.raises(BrokerUnavailableError, match="127"):
            await hub.publish(["a"], Event("x"))
        with pytest.raises(BrokerUnavailableError, match=r"no answer within 0\.2 seconds"):
            await patient.publish(["a"], Event("x"))
        own_server.start()


async def test_a_redis_that_hangs(own_server):
    """It answers nothing, and keeps its connections: a publish fails in time."""
    async with hub_at(own_server.url, publish_timeout_seconds=2) as hub:
        await hub.publish(["a"], Event("x"))
        own_server.pause()
        try:
            with pytest.raises(BrokerUnavailableError, match="no answer within"):
                await hub.publish(["a"], Event("x"))
        finally:
            own_server.go_on()


def test_lines_that_are_down():
    """The listener is told of the first that goes down, and when all are up again."""
    ear = RecordingListener()
    states = LineStates("redis://h", ear)
    states.on_up("one")
    assert ear.connection == []

    for line in ("one", "two", "one"):
        states.on_down(line, "gone")
    states.on_up("one")
    assert ear.connection == [False]
    assert not states.is_down("one")
    assert states.is_down("two")

    states.on_up("two")
    assert ear.connection == [False, True]


# An error of the driver, what users read. Add a row, not a test.
REASONS = [
    (OSError("refused"), "refused"),
    (TimeoutError(), "TimeoutError"),
    (
        MasterNotFoundError("No master found for 'main' : <object>"),
        "No master found for 'main'",
    ),
]


@pytest.mark.parametrize(("error", "reason"), REASONS, ids=[one for _, one in REASONS])
def test_unavailable_errors(error, reason):
    """Errors of the driver become the one that a broker may raise; others stay."""
    with (
        pytest.raises(BrokerUnavailableError, match=f"{reason}$") as caught,
        unavailable_errors("redis://h"),
    ):
        raise error
    assert caught.value.__cause__ is error
    with pytest.raises(ValueError, match="mine"), unavailable_errors("redis://h"):
        raise ValueError("mine")
