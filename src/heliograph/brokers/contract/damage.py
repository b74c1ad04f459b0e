"""Tests of entries that cannot be read, because something else has changed them."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest

from ...channels.position import Position
from ...event import Event
from .fixtures import ContractFixtures, Damage, Open, RecordingListener

if TYPE_CHECKING:
    from ..base import Broker

__all__ = ["DamageContract"]


async def _read_on(
    broker: Broker, after: Position, limit: int
) -> tuple[list[int], list[int]]:
    """Read page by page up to the head; return the offsets that came, and those skipped."""
    came: list[int] = []
    skipped: list[int] = []
    while True:
        page = await broker.read("a", after, limit)
        if page.gap is not None:
            assert page.gap == "trimmed"
            skipped += range(after.offset + 1, page.start.offset + 1)
        else:
            assert page.start == after
        came += [entry.position.offset for entry in page.entries]
        before, after = after, page.entries[-1].position if page.entries else page.start
        if after == page.head:
            return came, skipped
        assert after.offset > before.offset, "an empty page has to begin further on"


class DamageContract(ContractFixtures):
    """Damaged entries are skipped; what follows them is read and heard."""

    @pytest.mark.parametrize("damaged", [{1}, {3}, {2, 3}, {5}, {1, 2, 3, 4, 5}], ids=str)
    async def test_damaged_entries_are_a_gap(
        self, opened: Open, damage: Damage, damaged: set[int]
    ) -> None:
        """Reading gets past each of them, and reports exactly those that are missing."""
        broker = await opened()
        entries = [await broker.append("a", Event(str(n), id=f"id{n}")) for n in range(5)]
        start = Position(entries[0].position.epoch, 0)
        for entry in entries:
            if entry.position.offset in damaged:
                await damage(broker, entry)

        for limit in (1, 2, 99):
            came, skipped = await _read_on(broker, start, limit)
            assert came == [n for n in range(1, 6) if n not in damaged]
            assert set(skipped) == damaged
        for entry in entries:
            found = await broker.find("a", str(entry.event.id))
            is_damaged = entry.position.offset in damaged
            assert found == entry.position or (is_damaged and found is None)

    async def test_listening_after_damage(self, opened: Open, damage: Damage) -> None:
        """The position of a damaged newest entry is the head; later ones arrive."""
        first = await opened()
        entries = [await first.append("a", Event("x")) for _ in range(3)]
        await damage(first, entries[-1])
        listener = RecordingListener()
        broker = await opened(listener)

        head = await broker.listen("a")
        appended = await first.append("a", Event("next"))

        assert head == entries[-1].position
        assert appended.position.offset == head.offset + 1
        assert await listener.wait_for_entries(1) == [appended]

    async def test_damage_while_listening(self, opened: Open, damage: Damage) -> None:
        """An entry is damaged before it is heard, or later; what follows it arrives."""
        listener = RecordingListener()
        broker, other = await opened(listener), await opened()
        await broker.listen("a")

        await damage(other, await other.append("a", Event("x")))
        await other.append("a", Event("next"))
        while listener.offsets("a")[-1:] != [2]:
            await listener.wait_for_entries(len(listener.entries) + 1)

        assert listener.offsets("a") in ([2], [1, 2])

    async def test_the_log_names_a_damaged_entry(
        self, opened: Open, damage: Damage, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One warning names the channel and the offset, however often the entry is read."""
        broker = await opened()
        entries = [await broker.append("news", Event("x")) for _ in range(12)]
        await damage(broker, entries[-1])
        caplog.set_level(logging.WARNING)
        caplog.clear()

        for _ in range(2):
            await broker.read("news", entries[-2].position, 99)

        lines = [
            record.getMessage().replace(broker.resource, "")
            for record in caplog.records
            if record.levelno >= logging.WARNING
        ]
        assert len(lines) == 1, lines
        assert "news" in lines[0]
        assert re.search(r"\b12\b", lines[0]), lines[0]
