"""
What every broker must do: one suite, run against each of them.

A subclass gives a fixture ``new_broker``, which makes brokers on the same storage from a
retention and a clock, and opens none of them; and a fixture ``cost_of``, which counts what
a call to an open broker makes storage do.
"""

import asyncio
import dataclasses
from functools import partial

import pytest

from heliograph import BrokerUnavailableError, Event
from heliograph.brokers import Retention
from heliograph.channels.position import MAX_OFFSET, Position


class Clock:
    """Time that passes when a test says so."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


class Ear:
    """A listener that can be waited for."""

    def __init__(self):
        self.entries = []
        self.restarts = []
        # Another life without a gap: as before the first event of a channel.
        self.renamed = []
        self.passing = []
        self.connection = []
        self._grown = asyncio.Event()

    def on_entries(self, entries):
        self.entries += entries
        self._grown.set()

    def on_restart(self, channel, start, *, gap):
        (self.restarts if gap else self.renamed).append((channel, start, gap))

    def on_passing(self, channel, event):
        self.passing.append((channel, event))

    def on_connection(self, *, up, reason):
        self.connection.append(up)

    async def hear(self, count):
        while len(self.entries) < count:
            self._grown.clear()
            await self._grown.wait()
        return self.entries

    def offsets(self, channel):
        return [e.position.offset for e in self.entries if e.channel == channel]


def offsets(history):
    return [entry.position.offset for entry in history.entries]


class BrokerContract:
    """The tests. Each opens brokers through ``opened``, which closes them."""

    @pytest.fixture
    async def opened(self, new_broker):
        brokers = []

        async def open_one(listener=None, *, events=100, seconds=1000.0, clock=None):
            retention = Retention(events=events, seconds=seconds)
            broker = new_broker(retention, clock or Clock())
            await broker.open(listener or Ear())
            brokers.append(broker)
            return broker

        yield open_one
        for broker in brokers:
            await broker.close()

    async def test_offsets_are_dense(self, opened):
        """Each channel counts 1, 2, 3 on its own."""
        broker = await opened()

        entries = [await broker.append(name, Event("x")) for name in "abaab"]

        assert [e.position.offset for e in entries] == [1, 1, 2, 3, 2]
        assert [e.channel for e in entries] == list("abaab")

    async def test_concurrent_appends(self, opened):
        """However many append at once, no offset is given twice or left out."""
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
    async def test_events_survive(self, opened, event):
        """An event comes back as it was given, from history and live."""
        ear = Ear()
        broker = await opened(ear)
        await broker.listen("a")

        appended = await broker.append("a", event)

        assert appended.event == event
        assert (await broker.read("a", None, 1)).entries == (appended,)
        assert await ear.hear(1) == [appended]

    async def test_read_pages(self, opened):
        """Reading goes on from where it was, at most so many at a time."""
        broker = await opened()
        for n in range(5):
            await broker.append("a", Event(str(n)))

        first = await broker.read("a", None, 2)
        second = await broker.read("a", first.entries[-1].position, 2)
        rest = await broker.read("a", second.entries[-1].position, 99)

        assert [offsets(page) for page in (first, second, rest)] == [[1, 2], [3, 4], [5]]
        assert first.head == rest.head == rest.entries[-1].position
        assert first.gap is second.gap is rest.gap is None

    async def test_read_nothing(self, opened):
        """A channel without entries is at offset 0, and a limit of 0 only asks."""
        broker = await opened()
        empty = await broker.read("a", None, 9)
        assert (offsets(empty), empty.head.offset, empty.gap) == ([], 0, None)

        appended = await broker.append("a", Event("x"))

        asked = await broker.read("a", Position(appended.position.epoch, 0), 0)
        assert (offsets(asked), asked.head, asked.gap) == ([], appended.position, None)

    async def test_the_place_before_the_first_entry_holds(self, opened):
        """Who joined an empty channel and lost its connection misses nothing."""
        broker = await opened()
        start = await broker.listen("a")

        await broker.append("a", Event("x"))

        history = await broker.read("a", start, 9)
        assert (offsets(history), history.gap) == ([1], None)

    async def test_another_epoch_is_a_gap(self, opened):
        """All that is held is new to a client from another life."""
        broker = await opened()
        for _ in range(3):
            last = await broker.append("a", Event("x"))

        history = await broker.read("a", Position("other", 2), 9)

        assert history.gap == "epoch"
        assert offsets(history) == [1, 2, 3]
        assert history.start == Position(last.position.epoch, 0)

    @pytest.mark.parametrize("offset", [2, 9, MAX_OFFSET])
    async def test_a_position_past_the_head_is_a_gap(self, opened, offset):
        """What has not been given yet was never seen, whatever a client claims."""
        broker = await opened()
        last = await broker.append("a", Event("x"))

        history = await broker.read("a", Position(last.position.epoch, offset), 9)

        assert (history.gap, offsets(history), history.start) == (
            "unknown",
            [],
            last.position,
        )

    async def test_retention_by_number(self, opened):
        """The newest are kept; a position before them is a gap; the one next to them is not."""
        broker = await opened(events=3)
        for _ in range(10):
            last = await broker.append("a", Event("x"))
        epoch = last.position.epoch

        assert offsets(await broker.read("a", None, 99)) == [8, 9, 10]
        assert (await broker.read("a", Position(epoch, 7), 0)).gap is None
        trimmed = await broker.read("a", Position(epoch, 6), 99)
        assert (trimmed.gap, offsets(trimmed)) == ("trimmed", [8, 9, 10])
        assert trimmed.start == Position(epoch, 7)

    async def test_retention_by_number_is_per_channel(self, opened):
        """A busy channel does not push a quiet one out."""
        broker = await opened(events=2)
        await broker.append("quiet", Event("x"))
        for _ in range(10):
            await broker.append("busy", Event("x"))

        assert offsets(await broker.read("quiet", None, 99)) == [1]

    async def test_retention_by_age(self, opened):
        """What is too old is gone, in all channels, and offsets go on."""
        clock = Clock()
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

    async def test_a_clock_set_back_leaves_no_hole(self, opened):
        """What is kept stays dense whatever the clock says."""
        clock = Clock()
        broker = await opened(seconds=100.0, clock=clock)
        await broker.append("a", Event("x"))
        clock.now -= 5000
        await broker.append("a", Event("x"))
        clock.now += 5000

        await broker.append("a", Event("x"))

        found = offsets(await broker.read("a", None, 99))
        assert found in ([3], [2, 3], [1, 2, 3])

    async def test_find(self, opened):
        """A publisher's id leads to its entry while it is held and unique."""
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

    async def test_find_after_trimming(self, opened):
        """An id is unique as soon as the older of its entries is no longer held."""
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

    async def test_find_after_aging(self, opened):
        """What is too old is not found, and does not make an id occur twice."""
        clock = Clock()
        broker = await opened(seconds=100.0, clock=clock)
        await broker.append("a", Event("x", id="old"))
        await broker.append("a", Event("x", id="x"))
        clock.now += 60
        young = await broker.append("a", Event("x", id="x"))
        assert await broker.find("a", "x") is None
        clock.now += 60
        # Where history is trimmed with appends only.
        await broker.append("a", Event("x"))

        assert await broker.find("a", "x") == young.position
        assert await broker.find("a", "old") is None
        clock.now += 60
        await broker.append("a", Event("x"))
        assert await broker.find("a", "x") is None

    @pytest.mark.parametrize("event_id", ["", "\ud800", "=x", "a\0b", "x" * 9000])
    async def test_find_whatever_a_client_sends(self, opened, event_id):
        """Text that no event has as its id is not found, and does no harm."""
        broker = await opened()
        entry = await broker.append("a", Event("x", id="x"))

        assert await broker.find("a", event_id) is None
        assert await broker.find("a", "x") == entry.position

    @pytest.mark.parametrize("with_ids", [True, False], ids=["ids", "no-ids"])
    @pytest.mark.parametrize("event_id", ["never", "50"])
    async def test_the_cost_of_find(self, opened, cost_of, event_id, with_ids):
        """It does not depend on how much history there is, whether or not it has the id."""
        broker = await opened(events=10_000)
        costs, published = [], 0
        for count in (100, 5_000):
            events = [
                Event("x", id=str(n) if with_ids else None)
                for n in range(published, published + count)
            ]
            await asyncio.gather(*(broker.append("a", event) for event in events))
            published += count
            costs.append(await cost_of(broker, partial(broker.find, "a", event_id)))

        assert 0 < costs[1] <= costs[0] < 100

    async def test_listen(self, opened):
        """From the position given on, every entry comes, in order."""
        ear = Ear()
        broker = await opened(ear)
        await broker.append("a", Event("before"))

        head = await broker.listen("a")
        appended = [await broker.append("a", Event(str(n))) for n in range(5)]

        assert head.offset == 1
        assert await ear.hear(5) == appended

    async def test_listen_to_some(self, opened):
        """Other channels are not heard."""
        ear = Ear()
        broker = await opened(ear)
        await broker.listen("a")

        for name in "bab":
            await broker.append(name, Event("x"))
        await broker.listen("b")
        await broker.append("b", Event("x"))

        await ear.hear(2)
        assert [(e.channel, e.position.offset) for e in ear.entries] == [("a", 1), ("b", 3)]

    async def test_listen_is_cancelled(self, opened):
        """Wherever it has got to; whoever listens after that hears what comes."""
        ear = Ear()
        broker = await opened(ear)
        for turns in range(20):
            calls = [asyncio.ensure_future(broker.listen(name)) for name in ("a", "b", "c")]
            for _ in range(turns):
                await asyncio.sleep(0)
            for name, call in zip("ab", calls, strict=False):
                if not call.cancel():
                    broker.unlisten(name)
            again = asyncio.ensure_future(broker.listen("a"))
            if turns % 2:
                # Once more, before anybody has had time for the last.
                again.cancel()
                again = asyncio.ensure_future(broker.listen("a"))
            await asyncio.gather(calls[2], again)
            ear.entries.clear()

            for name in ("b", "a", "c"):
                await broker.append(name, Event(name))
            await ear.hear(2)
            broker.unlisten("a")
            broker.unlisten("c")

            assert sorted(entry.channel for entry in ear.entries) == ["a", "c"]

    async def test_listen_while_it_is_closed(self, new_broker):
        """Whoever waits is answered, and so is who comes too late."""
        broker = new_broker(Retention(events=100, seconds=1000.0), Clock())
        await broker.open(Ear())
        calls = [asyncio.ensure_future(broker.listen(f"c{n}")) for n in range(600)]
        await asyncio.sleep(0)

        await broker.close()

        late = asyncio.ensure_future(broker.listen("late"))
        done, waiting = await asyncio.wait([*calls, late], timeout=20)
        assert not waiting
        for call in done:
            assert call.exception() is None or isinstance(
                call.exception(), BrokerUnavailableError
            )

    async def test_unlisten(self, opened):
        """Afterwards the channel is not heard, others are; it may be listened to again."""
        ear = Ear()
        broker = await opened(ear)
        await broker.listen("a")
        await broker.listen("b")
        broker.unlisten("a")
        broker.unlisten("never")

        await broker.append("a", Event("x"))
        await broker.append("b", Event("x"))
        await ear.hear(1)
        again = await broker.listen("a")
        await broker.append("a", Event("x"))
        await ear.hear(2)

        assert again.offset == 1
        assert [(e.channel, e.position.offset) for e in ear.entries] == [("b", 1), ("a", 2)]

    async def test_a_long_burst_is_heard_whole(self, opened):
        """More than is handed on at once comes in order, without a hole."""
        ear = Ear()
        broker = await opened(ear, events=10_000)
        await broker.listen("a")

        await asyncio.gather(*(broker.append("a", Event("x")) for _ in range(5000)))

        await ear.hear(5000)
        assert ear.offsets("a") == list(range(1, 5001))

    async def test_cancelled_append(self, opened):
        """Who gives up waiting hurts nobody else."""
        ear = Ear()
        broker = await opened(ear)
        await broker.listen("a")
        waiting = [asyncio.create_task(broker.append("a", Event(str(n)))) for n in range(3)]
        await asyncio.sleep(0)

        waiting[1].cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)

        positions = {r.position.offset for r in results if dataclasses.is_dataclass(r)}
        await broker.append("a", Event("last"))
        await ear.hear(max(positions) + 1)
        assert ear.offsets("a") == list(range(1, len(ear.entries) + 1))
