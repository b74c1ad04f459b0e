"""Tests of what a channel has beside its history: retained entries, an end, keys."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ...channels.position import Position
from ...errors import ChannelEndedError, TooManyRetainedError
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

if TYPE_CHECKING:
    from ...channels.entry import Entry
    from ..base import Broker

__all__ = ["StateContract"]

RETAINED = Terms(retain_as="")
END = Terms(is_end=True)

# Long enough for any broker: this only ends tests of one that forgets nothing.
_FORGOTTEN_WITHIN_SECONDS = 30.0


def keyed(key: str) -> Terms:
    """Return the terms under which an event is retained with a key."""
    return Terms(retain_as=key)


def once(key: str) -> Terms:
    """Return the terms under which an event is stored once."""
    return Terms(idempotency_key=key)


async def retained(broker: Broker, channel: str = "a") -> list[tuple[str, str, int]]:
    """Return key, data and offset of all retained entries, read one by one."""
    found: list[tuple[str, str, int]] = []
    after = 0
    while True:
        page = (await broker.retained(channel, after, 1)).entries
        if not page:
            whole = (await broker.retained(channel, 0, 1000)).entries
            assert [entry.position.offset for entry in whole] == [n for _, _, n in found]
            return found
        (entry,) = page
        after = entry.position.offset
        assert entry.retained_as is not None
        assert await broker.retained_as(channel, entry.retained_as) == entry
        found.append((entry.retained_as, entry.event.data, after))


class _TwoPolicies(RetentionPolicy):
    """Little of the channel "small", more of all others."""

    def of(self, channel: str) -> Retention:
        more = Retention(events=5, seconds=100.0, retained_keys=3)
        if channel != "small":
            return more
        return replace(more, events=2, seconds=10.0, retained_keys=1)


class StateContract(ContractFixtures):
    """Retained entries, the end of a channel, and appends that are stored once."""

    async def test_one_is_retained_for_each_key(self, opened: Open) -> None:
        """The last one of each, in the order of publishing, and no other event."""
        broker = await opened()
        await broker.append("a", Event("never"))
        for data, terms in [
            ("1", RETAINED),
            ("2", keyed("x")),
            ("3", keyed("y")),
            ("4", keyed("x")),
            ("5", RETAINED),
        ]:
            await broker.append("a", Event(data), terms=terms)
        await broker.append("a", Event("never"))
        await broker.append("b", Event("of another channel"), terms=keyed("x"))

        assert await retained(broker) == [("y", "3", 4), ("x", "4", 5), ("", "5", 6)]
        page = await broker.retained("a", 4, 1)
        assert [entry.position.offset for entry in page.entries] == [5]
        assert page.head.offset == 7
        assert await broker.retained_as("a", "never") is None

    async def test_entries_tell_their_terms(self, opened: Open) -> None:
        """What is appended, read, retained and passed to a listener is the same."""
        listener = RecordingListener()
        broker = await opened(listener)
        await broker.listen("a")
        event = Event("x\ny", type="t", id="own", retry_ms=5)

        first = await broker.append("a", event, terms=keyed("\x00 \U0001f310=."))
        last = await broker.append("a", event, terms=replace(RETAINED, is_end=True))

        assert (first.retained_as, first.is_end) == ("\x00 \U0001f310=.", False)
        assert (last.retained_as, last.is_end) == ("", True)
        assert list((await broker.read("a", None, 9)).entries) == [first, last]
        assert list((await broker.retained("a", 0, 9)).entries) == [first, last]
        assert await listener.wait_for_entries(2) == [first, last]

    async def test_retained_beyond_history(self, opened: Open) -> None:
        """A retained entry stays when history has lost it, by number or by age."""
        clock = ManualClock()
        broker = await opened(events=2, seconds=10.0, clock=clock)
        first = await broker.append("a", Event("1", id="own"), terms=keyed("x"))
        for _ in range(5):
            await broker.append("a", Event("x"))
        clock.now += 100.0
        last = await broker.append("a", Event("x"))

        assert await retained(broker) == [("x", "1", 1)]
        history = await broker.read("a", Position(last.position.epoch, 0), 9)
        assert (offsets(history), history.gap) == ([7], "trimmed")
        assert await broker.find("a", "own") is None
        assert await broker.retained_as("a", "x") == first

    async def test_nothing_is_retained(self, opened: Open) -> None:
        """A channel without entries, and one without retained ones, is no error."""
        broker = await opened()
        empty = await broker.retained("a", 0, 9)
        assert (list(empty.entries), empty.head.offset) == ([], 0)
        await broker.forget("a", "x")
        assert await broker.retained_as("a", "") is None

        last = await broker.append("a", Event("x"))

        assert (await broker.retained("a", 0, 9)).head == last.position

    async def test_forget(self, opened: Open) -> None:
        """One key is retained no longer; history and other keys stay."""
        broker = await opened()
        for key in ("", "x", "y"):
            await broker.append("a", Event(key), terms=keyed(key))

        await broker.forget("a", "x")
        await broker.forget("a", "never")

        assert await retained(broker) == [("", "", 1), ("y", "y", 3)]
        assert offsets(await broker.read("a", None, 9)) == [1, 2, 3]
        await broker.forget("a", "")
        assert await retained(broker) == [("y", "y", 3)]

    async def test_too_many_are_retained(self, opened: Open) -> None:
        """The next key is an error that stores nothing; a known one is replaced."""
        policy = Retention(events=9, seconds=1000.0, retained_keys=2)
        broker = await opened(policy=policy)
        for key in ("", "x"):
            await broker.append("a", Event("old"), terms=keyed(key))

        with pytest.raises(TooManyRetainedError) as caught:
            await broker.append("a", Event("new"), terms=keyed("y"))

        assert (caught.value.channel, caught.value.limit) == ("a", 2)
        assert (await broker.read("a", None, 0)).head.offset == 2
        await broker.append("a", Event("new"), terms=keyed("x"))
        await broker.forget("a", "")
        await broker.append("a", Event("new"), terms=keyed("y"))
        assert await retained(broker) == [("x", "new", 3), ("y", "new", 4)]

    async def test_retaining_at_the_same_time(self, opened: Open, beside: Beside) -> None:
        """However appends interleave, each key has its newest entry."""
        broker = await opened(events=1000)
        other = await beside(broker, events=1000)

        entries = await asyncio.gather(
            *(
                (broker, other)[n % 2].append("a", Event(str(n)), terms=keyed(str(n % 7)))
                for n in range(100)
            )
        )

        newest = {entry.retained_as: entry for entry in sorted(entries, key=_offset_of)}
        found = (await broker.retained("a", 0, 99)).entries
        assert list(found) == sorted(newest.values(), key=_offset_of)

    async def test_damage_of_history_spares_what_is_retained(self, opened: Open) -> None:
        """A retained entry that was replaced stays in history as it was."""
        broker = await opened()
        first = await broker.append("a", Event("1"), terms=keyed("x"))

        await broker.append("a", Event("2"), terms=keyed("x"))

        assert list((await broker.read("a", None, 1)).entries) == [first]

    async def test_the_end(self, opened: Open, beside: Beside) -> None:
        """Nothing follows it, also in another process, until the channel begins again."""
        broker = await opened()
        other = await beside(broker)
        await broker.append("a", Event("1"))
        assert not (await broker.read("a", None, 0)).has_ended

        last = await broker.append("a", Event("2"), terms=END)

        for each in (broker, other):
            for terms in (Terms(), END, keyed("x"), once("k")):
                with pytest.raises(ChannelEndedError) as caught:
                    await each.append("a", Event("3"), terms=terms)
                assert caught.value.channel == "a"
            history = await each.read("a", None, 9)
            assert (history.has_ended, history.head) == (True, last.position)
            assert [entry.is_end for entry in history.entries] == [False, True]
        assert (await broker.append("b", Event("1"))).position.offset == 1

    async def test_the_end_is_remembered(self, opened: Open) -> None:
        """Also when history no longer holds its entry."""
        clock = ManualClock()
        broker = await opened(seconds=10.0, clock=clock)
        last = await broker.append("a", Event("x"), terms=END)
        clock.now += 1000.0

        history = await broker.read("a", last.position, 9)

        assert (offsets(history), history.gap, history.has_ended) == ([], None, True)
        with pytest.raises(ChannelEndedError):
            await broker.append("a", Event("x"))

    async def test_an_end_without_a_beginning(self, opened: Open) -> None:
        """A channel that nobody has published to can end."""
        broker = await opened()

        last = await broker.append("a", Event("x"), terms=END)

        history = await broker.read("a", None, 9)
        assert (history.has_ended, list(history.entries)) == (True, [last])

    async def test_begin(self, opened: Open, beside: Beside) -> None:
        """A new life has nothing of the former one; its numbering continues."""
        broker = await opened()
        other = await beside(broker)
        await broker.append("a", Event("1", id="own"), terms=keyed("x"))
        await broker.append("a", Event("2"), terms=once("k"))
        last = await broker.append("a", Event("3"), terms=END)

        assert await other.begin("a") == last.position

        history = await broker.read("a", last.position, 9)
        assert (history.gap, history.began, history.has_ended) == (None, 3, False)
        early = await broker.read("a", Position(last.position.epoch, 2), 9)
        assert (offsets(early), early.gap) == ([], "trimmed")
        oldest = await broker.read("a", None, 9)
        assert (offsets(oldest), oldest.start) == ([], last.position)
        assert await retained(broker) == []
        assert await broker.find("a", "own") is None
        again = await broker.append("a", Event("4"), terms=once("k"))
        assert again.position == Position(last.position.epoch, 4)
        assert offsets(await broker.read("a", last.position, 9)) == [4]

    async def test_begin_again(self, opened: Open) -> None:
        """A channel that has not ended begins anew; one that is not known stays so."""
        broker = await opened()
        assert (await broker.begin("a")).offset == 0
        first = await broker.append("a", Event("1"), terms=RETAINED)

        begun = await broker.begin("a")

        assert begun == first.position
        assert await broker.begin("a") == begun
        history = await broker.read("a", None, 9)
        assert (offsets(history), history.began) == ([], 1)
        assert (await broker.append("a", Event("2"))).position.offset == 2

    async def test_listeners_hear_of_the_end(self, opened: Open, beside: Beside) -> None:
        """All that came before it arrives, and so does what follows a new beginning."""
        listener = RecordingListener()
        broker = await opened(listener)
        other = await beside(broker)
        await broker.listen("a")
        for _ in range(20):
            await other.append("a", Event("x"))
        await other.append("a", Event("x"), terms=END)
        await other.begin("a")
        await other.append("a", Event("x"))

        entries = await listener.wait_for_entries(22)

        assert listener.offsets("a") == list(range(1, 23))
        assert [entry.position.offset for entry in entries if entry.is_end] == [21]
        assert listener.restarts == []

    async def test_listening_tells_the_state(self, opened: Open, beside: Beside) -> None:
        """Before the head, of what has ended or retains something, and of nothing else."""
        listener = RecordingListener()
        broker = await opened(listener)
        other = await beside(broker)
        await other.append("plain", Event("x"))
        await other.append("kept", Event("x"), terms=RETAINED)
        await other.append("ended", Event("x"), terms=END)
        await other.append("both", Event("x"), terms=replace(RETAINED, is_end=True))
        await other.append("begun", Event("x"), terms=replace(RETAINED, is_end=True))
        await other.begin("begun")
        await other.append("forgotten", Event("x"), terms=RETAINED)
        await other.forget("forgotten", "")

        names = ["plain", "kept", "ended", "both", "begun", "forgotten", "never"]
        heads = [await broker.listen(name) for name in names]

        assert [head.offset for head in heads] == [1, 1, 1, 1, 1, 1, 0]
        assert listener.states == [
            ("kept", False, True),
            ("ended", True, False),
            ("both", True, True),
        ]

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


def _offset_of(entry: Entry) -> int:
    return entry.position.offset
