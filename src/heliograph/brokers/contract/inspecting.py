"""Tests of what a broker tells about its channels, if it can be inspected."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from ...event import Event
from ..values import Retention, Terms
from .fixtures import Beside, ContractFixtures, Damage, ManualClock, Open
from .state import END, RETAINED, keyed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..base import Broker
    from ..inspection import ChannelSummary, Inspectable, Inspection

__all__ = ["InspectionContract"]

# Long enough for any broker: this only ends tests of one that forgets nothing.
_FORGOTTEN_WITHIN_SECONDS = 30.0

# More than fit into one page of any of our brokers.
_MANY = 230


@asynccontextmanager
async def _inspecting(broker: Broker) -> AsyncIterator[Inspection]:
    if not hasattr(broker, "inspect"):
        pytest.skip("the broker has no method inspect: see heliograph.brokers.Inspectable")
    async with cast("Inspectable", broker).inspect() as storage:
        yield storage


async def _listed(storage: Inspection, prefix: str = "") -> dict[str, ChannelSummary]:
    found = [summary async for summary in storage.channels(prefix)]
    listed = {summary.name: summary for summary in found}
    assert len(listed) == len(found), "a channel is listed twice"
    return listed


class InspectionContract(ContractFixtures):
    """Storage tells what it holds, and is not changed by that."""

    async def test_channels_are_summarised(self, opened: Open, beside: Beside) -> None:
        """Events, head, age, what is retained and the end, also of another process."""
        clock = ManualClock()
        broker = await opened(events=3, clock=clock)
        other = await beside(broker, events=3)
        heads = {}
        for name, terms in [
            ("plain", [Terms()]),
            ("full", [keyed("x"), RETAINED, *[Terms()] * 3, RETAINED]),
            ("ended", [Terms(), END]),
            ("begun", [RETAINED, END]),
            # Of Heliograph itself.
            ("\x01internal", [Terms()]),
        ]:
            for each in terms:
                entry = await broker.append(name, Event("x"), terms=each)
                heads[name] = entry.position
        await broker.begin("begun")

        async with _inspecting(other) as storage:
            listed = await _listed(storage)
            internal = await storage.channel("\x01internal")
            for name, summary in listed.items():
                again = await storage.channel(name)
                assert again is not None
                # The size may be an estimate.
                assert replace(again, size_bytes=summary.size_bytes) == summary

        assert internal is not None
        assert internal.head == heads.pop("\x01internal")
        assert {name: one.head for name, one in listed.items()} == heads
        assert {
            name: (one.events, one.oldest_at, one.retained, one.has_ended)
            for name, one in listed.items()
        } == {
            "plain": (1, clock.now, 0, False),
            "full": (3, clock.now, 2, False),
            "ended": (2, clock.now, 0, True),
            "begun": (0, None, 0, False),
        }

    async def test_the_size_grows_with_the_data(self, opened: Open) -> None:
        """By at least as many bytes, if it is known."""
        broker = await opened()
        await broker.append("a", Event("x"))
        async with _inspecting(broker) as storage:
            before = await storage.channel("a")
            for terms in (Terms(), RETAINED):
                await broker.append("a", Event("é" * 50_000), terms=terms)
            after = await storage.channel("a")

        assert before is not None
        assert after is not None
        if before.size_bytes is not None:
            assert after.size_bytes is not None
            assert after.size_bytes - before.size_bytes >= 200_000

    async def test_names_are_chosen_by_a_prefix(self, opened: Open) -> None:
        """Whatever characters are in it, and however many channels there are."""
        broker = await opened()
        odd = [
            "a*",
            "a*b",
            "a?",
            "a[b]",
            "a\\b",
            "a{b}",
            "a%",
            "a_b",
            "A",
            "é",
            "éa",
            "\U0001f310",
        ]
        many = [f"many:{n}" for n in range(_MANY)]
        await asyncio.gather(*(broker.append(name, Event("x")) for name in odd + many))

        async with _inspecting(broker) as storage:
            assert set(await _listed(storage)) == {*odd, *many}
            for prefix in ["many:", "a", "b", *odd]:
                expected = {name for name in odd + many if name.startswith(prefix)}
                assert set(await _listed(storage, prefix)) == expected

    async def test_newest_entries(self, opened: Open) -> None:
        """The last of history, in their order, of the present life only."""
        broker = await opened(events=40)
        entries = [
            await broker.append("a", Event(str(n), type="t", id=f"i{n}"), terms=RETAINED)
            for n in range(45)
        ]
        for name in ("begun", "begun again"):
            await broker.append(name, Event("x"), terms=END)
            await broker.begin(name)
        again = await broker.append("begun again", Event("y"))

        async with _inspecting(broker) as storage:
            for limit in (1, 2, 39, 40, 41):
                assert [*await storage.newest("a", limit)] == entries[5:][-limit:]
            assert [*await storage.newest("begun", 9)] == []
            assert [*await storage.newest("begun again", 9)] == [again]

    async def test_damaged_entries(self, opened: Open, damage: Damage) -> None:
        """They are skipped, and so is nothing else."""
        broker = await opened()
        entries = [await broker.append("a", Event("x")) for _ in range(3)]
        await damage(broker, entries[1])

        async with _inspecting(broker) as storage:
            assert [*await storage.newest("a", 3)] == [entries[0], entries[2]]
            assert (await _listed(storage))["a"].head == entries[2].position

    async def test_a_channel_without_events(self, opened: Open) -> None:
        """It is not there, and asking for it or listening to it does not make it."""
        broker = await opened()
        await broker.listen("heard")

        async with _inspecting(broker) as storage:
            for name in ("heard", "none"):
                assert await storage.channel(name) is None
                assert [*await storage.newest(name, 9)] == []
            assert await _listed(storage) == {}

    async def test_listeners(self, opened: Open, beside: Beside) -> None:
        """Processes are counted, or nothing is said."""
        broker = await opened()
        for name in ("a", "b"):
            await broker.append(name, Event("x"))
        await (await beside(broker)).listen("a")

        async with _inspecting(broker) as storage:
            listed = await _listed(storage)
            processes = await storage.processes()

        assert (listed["a"].listeners, listed["b"].listeners) in {(1, 0), (None, None)}
        assert processes is None or processes >= 1

    async def test_inspecting_is_no_use_of_a_channel(self, opened: Open) -> None:
        """One that nobody uses is forgotten although it is inspected all the time."""
        policy = Retention(events=9, seconds=0.5, forget_seconds=1.0)
        broker = await opened(policy=policy, clock=time.time)
        await broker.append("a", Event("x"), terms=RETAINED)

        async with (
            _inspecting(broker) as storage,
            asyncio.timeout(_FORGOTTEN_WITHIN_SECONDS),
        ):
            while await storage.channel("a") is not None:
                await storage.newest("a", 9)
                await _listed(storage)
                await asyncio.sleep(0.05)
