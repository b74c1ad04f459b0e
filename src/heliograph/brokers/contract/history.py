"""Tests of appending, reading, retention and finding."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from ...channels.position import MAX_OFFSET, Position
from ...event import Event
from .fixtures import (
    ContractFixtures,
    CostOf,
    ManualClock,
    Open,
    RecordingListener,
    offsets,
)

__all__ = ["HistoryContract"]

# Seconds that a clock shows for each event, with a history of ten seconds; then for one
# more; and the offsets of those that are left of the former. Add a row, not a test.
_WRONG_CLOCKS: dict[str, tuple[list[float], float, list[int]]] = {
    "right": ([0, 1, 2, 8], 13, [4]),
    "future": ([1e8, 1, 2, 8], 13, [4]),
    "future-later": ([1, 1e8, 8], 13, [2, 3]),
    "only-future": ([1e8, 1e8], 13, [1, 2]),
    "many-from-the-future": ([1e8] * 30 + [1], 13, []),
    "past-for-a-moment": ([5, -1e5, 6], 13, [1, 2, 3]),
    "past-first": ([-1e5, 6], 13, [2]),
    "back-for-good": ([0, 1, -1e5, -1e5 + 8], -1e5 + 13, [4]),
}


class HistoryContract(ContractFixtures):
    """Entries are numbered without a hole, kept as configured and read by position."""

    async def test_offsets_are_dense(self, opened: Open) -> None:
        """Each channel counts 1, 2, 3 on its own."""
        broker = await opened()

        entries = [await broker.append(name, Event("x")) for name in "abaab"]

        assert [e.position.offset for e in entries] == [1, 1, 2, 3, 2]
        assert [e.channel for e in entries] == list("abaab")

    async def test_concurrent_appends(self, opened: Open) -> None:
        """Concurrent appends get all offsets, each once."""
        broker = await opened(events=1000)

        entries = await asyncio.gather(
            *(broker.append("a", Event(str(n))) for n in range(300))
        )

        assert sorted(e.position.offset for e in entries) == list(range(1, 301))
        history = await broker.read("a", None, 1000)
        assert {e.event.data: e.position for e in history.entries} == {
            e.event.data: e.position for e in entries
        }

    @pytest.mark.parametrize(
        "event",
        [
            Event(""),
            Event("a\r\nb\u2028\0\U0001f310"),
            Event("x", type="t", id="own", retry_ms=5),
            Event("x", type="", id="", retry_ms=2**63 - 1),
        ],
    )
    async def test_events_survive(self, opened: Open, event: Event) -> None:
        """History and listeners return an event as it was published."""
        listener = RecordingListener()
        broker = await opened(listener)
        await broker.listen("a")

        appended = await broker.append("a", event)

        assert appended.event == event
        assert list((await broker.read("a", None, 1)).entries) == [appended]
        assert await listener.wait_for_entries(1) == [appended]

    async def test_read_pages(self, opened: Open) -> None:
        """Each page continues after the one before, with at most ``limit`` entries."""
        broker = await opened()
        for n in range(5):
            await broker.append("a", Event(str(n)))

        first = await broker.read("a", None, 2)
        second = await broker.read("a", first.entries[-1].position, 2)
        rest = await broker.read("a", second.entries[-1].position, 99)

        assert [offsets(page) for page in (first, second, rest)] == [[1, 2], [3, 4], [5]]
        assert first.head == rest.head == rest.entries[-1].position
        assert first.gap is second.gap is rest.gap is None

    async def test_read_nothing(self, opened: Open) -> None:
        """A channel without entries is at offset 0; a limit of 0 returns no entries."""
        broker = await opened()
        empty = await broker.read("a", None, 9)
        assert (offsets(empty), empty.head.offset, empty.gap) == ([], 0, None)

        appended = await broker.append("a", Event("x"))

        asked = await broker.read("a", Position(appended.position.epoch, 0), 0)
        assert (offsets(asked), asked.head, asked.gap) == ([], appended.position, None)

    async def test_the_position_before_the_first_entry_is_valid(self, opened: Open) -> None:
        """A client that joined an empty channel and reconnects misses nothing."""
        broker = await opened()
        start = await broker.listen("a")

        await broker.append("a", Event("x"))

        history = await broker.read("a", start, 9)
        assert (offsets(history), history.gap) == ([1], None)

    async def test_another_epoch_is_a_gap(self, opened: Open) -> None:
        """To a client of another epoch, all entries in history are new."""
        broker = await opened()
        for _ in range(3):
            last = await broker.append("a", Event("x"))

        history = await broker.read("a", Position("other", 2), 9)

        assert history.gap == "epoch"
        assert offsets(history) == [1, 2, 3]
        assert history.start == Position(last.position.epoch, 0)

    @pytest.mark.parametrize("offset", [2, 9, MAX_OFFSET])
    async def test_a_position_past_the_head_is_a_gap(
        self, opened: Open, offset: int
    ) -> None:
        """An offset that no entry has yet was never seen, whatever a client claims."""
        broker = await opened()
        last = await broker.append("a", Event("x"))

        history = await broker.read("a", Position(last.position.epoch, offset), 9)

        assert (history.gap, offsets(history), history.start) == (
            "unknown",
            [],
            last.position,
        )

    async def test_retention_by_number(self, opened: Open) -> None:
        """The newest are kept. Older positions are gaps, except the last before them."""
        broker = await opened(events=3)
        for _ in range(10):
            last = await broker.append("a", Event("x"))
        epoch = last.position.epoch

        assert offsets(await broker.read("a", None, 99)) == [8, 9, 10]
        assert (await broker.read("a", Position(epoch, 7), 0)).gap is None
        trimmed = await broker.read("a", Position(epoch, 6), 99)
        assert (trimmed.gap, offsets(trimmed)) == ("trimmed", [8, 9, 10])
        assert trimmed.start == Position(epoch, 7)

    async def test_retention_by_number_is_per_channel(self, opened: Open) -> None:
        """Events of one channel do not displace those of another."""
        broker = await opened(events=2)
        await broker.append("quiet", Event("x"))
        for _ in range(10):
            await broker.append("busy", Event("x"))

        assert offsets(await broker.read("quiet", None, 99)) == [1]

    async def test_retention_by_age(self, opened: Open) -> None:
        """Entries that are too old are removed from all channels; offsets continue."""
        clock = ManualClock()
        broker = await opened(seconds=100.0, clock=clock)
        await broker.append("quiet", Event("old"))
        await broker.append("a", Event("old"))
        clock.now += 60
        await broker.append("a", Event("young"))
        clock.now += 60

        await broker.append("a", Event("new"))

        assert offsets(await broker.read("a", None, 99)) == [2, 3]
        quiet = await broker.read("quiet", None, 99)
        assert (offsets(quiet), quiet.head.offset) == ([], 1)
        assert (await broker.append("quiet", Event("x"))).position.offset == 2

    async def test_a_clock_set_back_leaves_no_hole(self, opened: Open) -> None:
        """History has no hole, even if timestamps are not in order."""
        clock = ManualClock()
        broker = await opened(seconds=100.0, clock=clock)
        await broker.append("a", Event("x"))
        clock.now -= 5000
        await broker.append("a", Event("x"))
        clock.now += 5000

        await broker.append("a", Event("x"))

        found = offsets(await broker.read("a", None, 99))
        assert found in ([3], [2, 3], [1, 2, 3])

    async def test_find(self, opened: Open) -> None:
        """A publisher's id is found while exactly one entry in history has it."""
        broker = await opened(events=3)
        await broker.append("a", Event("x", id="trimmed"))
        one = await broker.append("a", Event("x", id="one"))
        await broker.append("a", Event("x", id="twice"))
        await broker.append("a", Event("x", id="twice"))
        await broker.append("b", Event("x", id="elsewhere"))

        assert await broker.find("a", "one") == one.position
        for other in ("trimmed", "twice", "elsewhere", "never"):
            assert await broker.find("a", other) is None
        assert await broker.find("never", "one") is None

    @pytest.mark.parametrize(
        ("times", "end", "left"), _WRONG_CLOCKS.values(), ids=_WRONG_CLOCKS.keys()
    )
    async def test_aging_by_clocks_that_were_wrong(
        self, opened: Open, times: list[float], end: float, left: list[int]
    ) -> None:
        """Times in the future keep nothing too old; those in the past remove nothing."""
        clock = ManualClock()
        start = clock.now
        broker = await opened(seconds=10, clock=clock)
        for seconds in times:
            clock.now = start + seconds
            await broker.append("a", Event("x"))
        clock.now = start + end
        # Some brokers trim history with appends only.
        last = await broker.append("a", Event("x"))

        history = await broker.read("a", None, 99)

        assert offsets(history) == [*left, last.position.offset]

    async def test_find_after_trimming(self, opened: Open) -> None:
        """An id becomes unique when the older of its two entries has been trimmed."""
        broker = await opened(events=4)
        events = [Event("x", id=id_) for id_ in ("x", "x", "y", "x")]
        entries = [await broker.append("a", event) for event in events]
        found = []
        for _ in range(4):
            found.append([await broker.find("a", id_) for id_ in ("x", "y")])
            await broker.append("a", Event("x"))

        y, last = entries[2].position, entries[3].position
        assert found == [[None, y], [None, y], [last, y], [last, None]]
        assert await broker.find("a", "x") is None

    async def test_find_after_aging(self, opened: Open) -> None:
        """Entries that are too old are not found, and do not count as duplicates."""
        clock = ManualClock()
        broker = await opened(seconds=100.0, clock=clock)
        await broker.append("a", Event("x", id="old"))
        await broker.append("a", Event("x", id="x"))
        clock.now += 60
        young = await broker.append("a", Event("x", id="x"))
        assert await broker.find("a", "x") is None
        clock.now += 60
        # Some brokers trim history with appends only.
        await broker.append("a", Event("x"))

        assert await broker.find("a", "x") == young.position
        assert await broker.find("a", "old") is None
        clock.now += 60
        await broker.append("a", Event("x"))
        assert await broker.find("a", "x") is None

    @pytest.mark.parametrize("event_id", ["", "\ud800", "=x", "a\0b", "x" * 9000])
    async def test_find_whatever_a_client_sends(self, opened: Open, event_id: str) -> None:
        """Ids that no event can have, or that are very long, are not found."""
        broker = await opened()
        entry = await broker.append("a", Event("x", id="x"))

        assert await broker.find("a", event_id) is None
        assert await broker.find("a", "x") == entry.position

    @pytest.mark.parametrize("with_ids", [True, False], ids=["ids", "no-ids"])
    async def test_the_cost_of_find(
        self, opened: Open, cost_of: CostOf, *, with_ids: bool
    ) -> None:
        """It does not depend on the size of history, whether or not the id is found."""
        broker = await opened(events=10_000)
        costs: dict[str, list[float]] = {"never": [], "50": []}
        published = 0
        for count in (100, 5_000):
            events = [
                Event("x", id=str(n) if with_ids else None)
                for n in range(published, published + count)
            ]
            await asyncio.gather(*(broker.append("a", event) for event in events))
            published += count
            for event_id, found in costs.items():
                found.append(await cost_of(broker, partial(broker.find, "a", event_id)))

        for few, many in costs.values():
            assert 0 < many <= few < 100
