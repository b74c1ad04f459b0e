"""Tests of appends that are stored once, of bounds for each channel, and of forgetting."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from ...errors import TooManyRetainedError
from ...event import Event
from ..values import Retention, RetentionPolicy, Terms
from .fixtures import (
    Beside,
    ContractFixtures,
    ManualClock,
    Open,
    RecordingListener,
    offsets,
)
from .state import RETAINED, keyed, once, retained

__all__ = ["LifetimeContract"]

# Long enough for any broker: this only ends tests of one that forgets nothing.
_FORGOTTEN_WITHIN_SECONDS = 30.0


class _TwoPolicies(RetentionPolicy):
    """Little of the channel "small", more of all others."""

    def of(self, channel: str) -> Retention:
        more = Retention(events=5, seconds=100.0, retained_keys=3)
        if channel != "small":
            return more
        return replace(more, events=2, seconds=10.0, retained_keys=1)


class LifetimeContract(ContractFixtures):
    """Appends are stored once, and a channel is kept as its policy says."""

    async def test_stored_once(self, opened: Open, beside: Beside) -> None:
        """A repeated append returns the first entry, also in another process."""
        listener = RecordingListener()
        broker = await opened(listener)
        other = await beside(broker)
        await broker.listen("a")
        first = await broker.append("a", Event("1"), terms=once("k"))

        again = [
            await each.append("a", Event("other data"), terms=once("k"))
            for each in (broker, other)
        ]
        later = await broker.append("a", Event("2"), terms=once("l"))
        elsewhere = await broker.append("b", Event("3"), terms=once("k"))

        assert again == [first, first]
        assert (later.position.offset, elsewhere.position.offset) == (2, 1)
        assert offsets(await broker.read("a", None, 9)) == [1, 2]
        assert await listener.wait_for_entries(2) == [first, later]

    async def test_stored_once_at_the_same_time(self, opened: Open, beside: Beside) -> None:
        """Of many at once one is stored."""
        broker = await opened()
        other = await beside(broker)

        entries = await asyncio.gather(
            *(
                (broker, other)[n % 2].append("a", Event(str(n)), terms=once("k"))
                for n in range(40)
            )
        )

        assert len({entry.position for entry in entries}) == 1
        assert offsets(await broker.read("a", None, 9)) == [1]

    async def test_an_end_is_stored_once(self, opened: Open) -> None:
        """Repeating the append that has ended a channel, or one before it, is no error."""
        broker = await opened()
        terms = Terms(retain_as="x", idempotency_key="end", is_end=True)
        before = await broker.append("a", Event("1"), terms=once("before"))
        last = await broker.append("a", Event("2"), terms=terms)

        assert await broker.append("a", Event("2"), terms=terms) == last
        assert await broker.append("a", Event("1"), terms=once("before")) == before

    async def test_a_key_holds_as_long_as_history(self, opened: Open) -> None:
        """When its entry is removed, by number or by age, another one may have it."""
        clock = ManualClock()
        broker = await opened(events=2, seconds=10.0, clock=clock)
        await broker.append("a", Event("1"), terms=once("k"))
        await broker.append("a", Event("x"))
        await broker.append("a", Event("x"))
        by_number = await broker.append("a", Event("2"), terms=once("k"))
        assert by_number.position.offset == 4
        assert await broker.append("a", Event("x"), terms=once("k")) == by_number

        clock.now += 100.0

        by_age = await broker.append("a", Event("3"), terms=once("k"))
        assert by_age.position.offset == 5

    async def test_names_do_not_meet(self, opened: Open) -> None:
        """An id, a retained key and an idempotency key may be the same text."""
        broker = await opened()
        terms = Terms(retain_as="k", idempotency_key="k")
        first = await broker.append("a", Event("1", id="k"), terms=terms)
        second = await broker.append("a", Event("2", id="=k"), terms=once("=k"))

        assert await broker.find("a", "k") == first.position
        assert await broker.find("a", "=k") == second.position
        assert await broker.append("a", Event("1"), terms=once("k")) == first

    async def test_each_channel_has_bounds_of_its_own(self, opened: Open) -> None:
        """Of number, age and retained keys."""
        clock = ManualClock()
        broker = await opened(policy=_TwoPolicies(), clock=clock)
        for name in ("small", "large"):
            for n in range(4):
                await broker.append(name, Event(str(n)))

        assert offsets(await broker.read("small", None, 9)) == [3, 4]
        assert offsets(await broker.read("large", None, 9)) == [1, 2, 3, 4]
        clock.now += 50.0
        await broker.append("small", Event("x"), terms=keyed("x"))
        assert offsets(await broker.read("small", None, 9)) == [5]
        assert offsets(await broker.read("large", None, 9)) == [1, 2, 3, 4]
        with pytest.raises(TooManyRetainedError):
            await broker.append("small", Event("x"), terms=keyed("y"))
        await broker.append("large", Event("x"), terms=keyed("y"))

    @pytest.mark.parametrize("is_listened_to", [False, True])
    async def test_a_channel_that_has_ended_is_forgotten(
        self, opened: Open, *, is_listened_to: bool
    ) -> None:
        """After a while nothing of it is left, and it may be used again."""
        policy = Retention(events=9, seconds=0.5, forget_seconds=1.0)
        listener = RecordingListener()
        broker = await opened(listener, policy=policy, clock=time.time)
        if is_listened_to:
            await broker.listen("a")
        terms = Terms(retain_as="", idempotency_key="k", is_end=True)
        last = await broker.append("a", Event("x"), terms=terms)

        async with asyncio.timeout(_FORGOTTEN_WITHIN_SECONDS):
            while (await broker.read("a", None, 0)).has_ended:  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.1)

        assert await retained(broker) == []
        resumed = await broker.read("a", last.position, 9)
        assert (resumed.gap, resumed.head.offset) == ("epoch", 0)
        again = await broker.append("a", Event("again"), terms=once("k"))
        assert again.position.offset == 1
        assert again.position.epoch != last.position.epoch
        if is_listened_to:
            assert (await listener.wait_for_entries(2))[-1] == again

    async def test_a_channel_that_is_not_used_is_forgotten(self, opened: Open) -> None:
        """What it retained is gone; who was at its beginning is told."""
        policy = Retention(events=9, seconds=0.5, forget_seconds=1.0)
        broker = await opened(policy=policy, clock=time.time)
        start = (await broker.read("a", None, 0)).head
        last = await broker.append("a", Event("x"), terms=RETAINED)

        async with asyncio.timeout(_FORGOTTEN_WITHIN_SECONDS):
            while await broker.retained_as("a", "") is not None:  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.1)

        for position in (start, last.position):
            assert (await broker.read("a", position, 9)).gap == "epoch"
