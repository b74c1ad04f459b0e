"""Tests of listening to channels, and of calls that are cancelled."""

from __future__ import annotations

import asyncio
import dataclasses

from ...errors import BrokerUnavailableError
from ...event import Event
from ..values import Retention
from .fixtures import ContractFixtures, ManualClock, NewBroker, Open, RecordingListener

__all__ = ["ListeningContract"]


class ListeningContract(ContractFixtures):
    """A listener gets each entry of its channels once, in order, and no other."""

    async def test_listen(self, opened: Open) -> None:
        """After the position that ``listen`` returns, every entry arrives, in order."""
        listener = RecordingListener()
        broker = await opened(listener)
        await broker.append("a", Event("before"))

        head = await broker.listen("a")
        appended = [await broker.append("a", Event(str(n))) for n in range(5)]

        assert head.offset == 1
        assert await listener.wait_for_entries(5) == appended

    async def test_listen_to_some(self, opened: Open) -> None:
        """Entries of other channels do not arrive."""
        listener = RecordingListener()
        broker = await opened(listener)
        await broker.listen("a")

        for name in "bab":
            await broker.append(name, Event("x"))
        await broker.listen("b")
        await broker.append("b", Event("x"))

        await listener.wait_for_entries(2)
        assert [(e.channel, e.position.offset) for e in listener.entries] == [
            ("a", 1),
            ("b", 3),
        ]

    async def test_listen_is_cancelled(self, opened: Open) -> None:
        """A cancelled call leaves no trace, however far it had come; later calls work."""
        listener = RecordingListener()
        broker = await opened(listener)
        for turns in range(20):
            calls = [asyncio.ensure_future(broker.listen(name)) for name in ("a", "b", "c")]
            for _ in range(turns):
                await asyncio.sleep(0)
            for name, call in zip("ab", calls, strict=False):
                if not call.cancel():
                    broker.unlisten(name)
            again = asyncio.ensure_future(broker.listen("a"))
            if turns % 2:
                # Again, before the last call could make progress.
                again.cancel()
                again = asyncio.ensure_future(broker.listen("a"))
            await asyncio.gather(calls[2], again)
            listener.entries.clear()

            for name in ("b", "a", "c"):
                await broker.append(name, Event(name))
            await listener.wait_for_entries(2)
            broker.unlisten("a")
            broker.unlisten("c")

            assert sorted(entry.channel for entry in listener.entries) == ["a", "c"]

    async def test_listen_while_it_is_closed(self, new_broker: NewBroker) -> None:
        """Calls in progress and later ones end, in success or as unavailable."""
        broker = new_broker(Retention(events=100, seconds=1000.0), ManualClock())
        await broker.open(RecordingListener())
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

    async def test_unlisten(self, opened: Open) -> None:
        """Only that channel's entries stop; it may be listened to again."""
        listener = RecordingListener()
        broker = await opened(listener)
        await broker.listen("a")
        await broker.listen("b")
        broker.unlisten("a")
        broker.unlisten("never")

        await broker.append("a", Event("x"))
        await broker.append("b", Event("x"))
        await listener.wait_for_entries(1)
        again = await broker.listen("a")
        await broker.append("a", Event("x"))
        await listener.wait_for_entries(2)

        assert again.offset == 1
        assert [(e.channel, e.position.offset) for e in listener.entries] == [
            ("b", 1),
            ("a", 2),
        ]

    async def test_a_long_burst_is_heard_whole(self, opened: Open) -> None:
        """Thousands of entries at once arrive in order, without a hole."""
        listener = RecordingListener()
        broker = await opened(listener, events=10_000)
        await broker.listen("a")

        await asyncio.gather(*(broker.append("a", Event("x")) for _ in range(5000)))

        await listener.wait_for_entries(5000)
        assert listener.offsets("a") == list(range(1, 5001))

    async def test_cancelled_append(self, opened: Open) -> None:
        """Cancelling one append affects no other, and leaves no hole."""
        listener = RecordingListener()
        broker = await opened(listener)
        await broker.listen("a")
        waiting = [asyncio.create_task(broker.append("a", Event(str(n)))) for n in range(3)]
        await asyncio.sleep(0)

        waiting[1].cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)

        positions = {r.position.offset for r in results if dataclasses.is_dataclass(r)}
        await broker.append("a", Event("last"))
        await listener.wait_for_entries(max(positions) + 1)
        assert listener.offsets("a") == list(range(1, len(listener.entries) + 1))
