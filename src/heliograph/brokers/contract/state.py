"""Tests of what a channel has beside its history: retained entries, an end, lives."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ...channels.position import Position
from ...errors import ChannelEndedError, TooManyRetainedError
from ...event import Event
from ..values import Retention, Terms
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


class StateContract(ContractFixtures):
    """Retained entries, the end of a channel, and its next life."""

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


def _offset_of(entry: Entry) -> int:
    return entry.position.offset
