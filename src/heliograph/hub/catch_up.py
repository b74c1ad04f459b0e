"""
Replay of missed entries to one client, from its position to the heads of its channels.

Retained entries come first, if the client gets any. All are read page by page, from the
logs where these reach back far enough, else from the broker. The next page is read when the
client has taken the last one, so a client that does not read costs one page. A gap is
announced before the entries that follow it; after it come the retained entries that the
client cannot have seen, and then those of history.

The last step is :meth:`CatchUp.finish`, which has no ``await``: no entry can be appended
between reading the logs up to their heads and joining the feed, which begins there.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ..channels.blocks import end_block, entry_block, gap_block, retained_block
from ..channels.log import LogItem
from ..channels.position import Position, Positions
from ..channels.start import StartKind
from ..errors import InvalidStreamIdError
from .pages import PAGE_BYTES, PAGE_ENTRIES, beginning, is_common, merged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..channels.joined import JoinedBlocks
    from ..channels.log import ChannelLog
    from ..channels.opening import Opening
    from ..channels.position import GapReason
    from .channel_table import ChannelTable
    from .statistics import Counters
    from .storage import Storage
    from .subscriber import Subscriber

__all__ = ["CatchUp", "id_at_heads"]

# How long to wait for an entry that the client has got from another process already, before
# the broker is asked whether it still exists.
_BEHIND_SECONDS = 1.0


def id_at_heads(
    subscriber: Subscriber, table: ChannelTable, heads: Positions
) -> str | None:
    """
    Return the id with which a stream without a position begins, if that is at the heads.

    Args:
        subscriber: A subscriber without a position.
        table: The table in which its channels are in use.
        heads: Those of its channels. Changed, if something retained comes first.

    Returns:
        :obj:`None` if it begins elsewhere.
    """
    kind = subscriber.start.kind
    if kind is StartKind.START or kind is StartKind.LAST:
        return None
    if kind is StartKind.RETAINED:
        for name in subscriber.channels:
            if table[name].has_retained:
                heads.replay(name, 0)
    return heads.id


class CatchUp:
    """
    The replay to one client.

    Args:
        subscriber: A subscriber that has begun.
        table: The table in which its channels are in use.
        storage: Entries that the logs no longer hold are read from it.
        opening: How the client is told its position.
        counters: Gap events are counted here.
        pages: Keeps pages that several clients are given.
    """

    def __init__(
        self,
        subscriber: Subscriber,
        table: ChannelTable,
        storage: Storage,
        *,
        opening: Opening,
        counters: Counters,
        pages: JoinedBlocks,
    ) -> None:
        self._subscriber = subscriber
        self._table = table
        self._storage = storage
        self._opening = opening
        self._counters = counters
        self._pages = pages
        self._logs: dict[str, ChannelLog] = {}
        self._positions: Positions
        # Gaps to announce: channel -> reason, and the position after which it continues.
        self._missing: dict[str, tuple[GapReason, Position]] = {}
        # Of those that may have retained entries before that position: the offset up to
        # which the client has the channel's entries.
        self._known_until: dict[str, int] = {}
        # Where the client has been told, or has seen, that a channel has ended.
        self._told_ends: dict[str, Position] = {}
        # Channels that ended where the client is, which was cut off before it was told.
        self._cut_off: set[str] = set()
        # The head at which storage was asked whether a channel has ended.
        self._confirmed: dict[str, Position] = {}
        self._is_resumed = self._is_opened = False
        # Whether a position was moved to another epoch, and no block since has said so.
        self._is_renamed = False

    async def advance(self) -> None:
        """
        Write pages until what is left to write is no more than one.

        After a cancellation the client has whole pages, and can resume.
        """
        await self._find_start()
        self._is_resumed = self._subscriber.resumes and not self._missing
        while True:
            if self._known_until:
                # What is retained is replayed after the gap.
                await self._write([])
            if self._positions.replayed:
                await self._write(beginning(await self._read_retained()))
                continue
            behind = [
                name
                for name, log in self._logs.items()
                if not log.covers(self._positions[name])
            ]
            if behind:
                page = beginning(await self._read(behind))
                # The logs are shared by all clients; this page is held for one of them.
                self._subscriber.page_bytes = sum(len(item.body) for item in page)
            elif self._is_close():
                if await self._confirm_ends():
                    break
                continue  # the logs may have moved far
            else:
                page = merged(
                    log.after(self._positions[name], PAGE_ENTRIES)
                    for name, log in self._logs.items()
                )
            await self._write(page)
            self._subscriber.page_bytes = 0

    def finish(self) -> None:
        """Write the entries up to the heads. Call it in the step that joins the feed."""
        blocks = self._announcement()
        rest = merged(log.after(self._positions[name]) for name, log in self._logs.items())
        if (joined := self._joined(rest)) is None:
            blocks += map(self._block, rest)
        else:
            blocks.append(joined)
        for name, log in self._logs.items():
            if self._table[name].has_ended and self._told_ends.get(name) != log.head:
                blocks.append(end_block(name, self._positions))
        if self._is_renamed and not blocks:
            blocks.append(self._opening.block(self._positions, resumed=True))
        self._subscriber.give(*blocks)
        self._subscriber.note(self._positions)

    async def is_over(self) -> bool:
        """
        Return whether all channels have ended and the client gets nothing of them.

        Call it instead of :meth:`advance`, if the table says that all have ended.
        """
        await self._find_start()
        if self._missing or self._positions != self._heads():
            return False
        await self._confirm_ends()  # it may end once more meanwhile
        return self._table.have_ended(self._logs) and self._positions == self._heads()

    async def _confirm_ends(self) -> bool:
        """Ask storage about what seems to be an end; return whether nothing was asked."""
        asked = False
        for name, log in self._logs.items():
            head, channel = log.head, self._table[name]
            if not channel.has_ended or self._confirmed.get(name) == head:
                continue
            # Another process may have begun the channel again, unknown to this one.
            history = await self._storage.read(name, head, 0)
            self._confirmed[name], asked = head, True
            is_over = history.has_ended and history.head == head
            # If the head has moved meanwhile, its entry says whether it is an end.
            if not is_over and log.head == head:
                channel.has_ended = False
        return not asked

    async def _find_start(self) -> None:
        for name in self._subscriber.channels:
            self._logs[name] = await self._table.log(name)
        self._positions = await self._starting_point()
        if self._subscriber.resumes and not self._missing:
            self._told_ends = {
                name: self._positions[name]
                for name in self._logs
                if name not in {*self._positions.replayed, *self._positions.untold}
            }
            self._cut_off = {
                name for name in tuple(self._positions.untold) if await self._ended_at(name)
            }

    async def _ended_at(self, name: str) -> bool:
        """Return whether a channel ended where the client is, and perhaps began again."""
        position = self._positions[name]
        history = await self._storage.read(name, position, 0)
        if history.head.epoch != position.epoch or not position.offset:
            return False
        is_over = history.has_ended and history.head == position
        return is_over or history.began == position.offset

    async def _starting_point(self) -> Positions:
        last_event_id = self._subscriber.last_event_id
        channels = self._subscriber.channels
        if last_event_id is None:
            last_event_id = id_at_heads(self._subscriber, self._table, self._heads())
        if last_event_id is None:
            return Positions({name: await self._beginning(name) for name in channels})
        try:
            return Positions.parse(last_event_id, channels)
        except InvalidStreamIdError:
            pass  # it may be a publisher's own id
        if len(channels) == 1:
            found = await self._storage.find(channels[0], last_event_id)
            if found is not None:
                positions = Positions({channels[0]: found})
                # If the channel has ended with it, the end has an id of its own.
                positions.withhold_end(channels[0])
                return positions
        heads = self._heads()
        self._missing = {name: ("unknown", heads[name]) for name in channels}
        self._known_until = {name: 0 for name in channels if self._table[name].has_retained}
        return heads

    async def _beginning(self, name: str) -> Position:
        """Return where a stream begins that gets what was published before it."""
        history = await self._storage.read(name, None, 0)
        start, offset = self._subscriber.start, history.began
        if start.kind is StartKind.LAST:
            offset = max(offset, history.head.offset - start.events)
        return Position(history.head.epoch, offset)

    def _heads(self) -> Positions:
        return Positions({name: log.head for name, log in self._logs.items()})

    def _is_close(self) -> bool:
        """Return whether what is left to write is no more than a page."""
        size = 0
        for name, log in self._logs.items():
            for item in log.after(self._positions[name], PAGE_ENTRIES + 1):
                size += len(item.body)
                if size > PAGE_BYTES:
                    return False
            if log.head.offset - self._positions[name].offset > PAGE_ENTRIES:
                return False
        return True

    async def _read(self, behind: list[str]) -> list[LogItem]:
        pages, size = [], 0
        for name in behind:
            page = await self._read_channel(name)
            pages.append(page)
            size += sum(len(item.body) for item in page)
            if size > PAGE_BYTES:
                break  # the other channels are read for the next page
        return merged([*pages, *self._logged_before(pages, behind)])

    def _logged_before(
        self, pages: list[list[LogItem]], behind: list[str]
    ) -> Iterator[list[LogItem]]:
        """Yield logged entries of other channels, up to the time at which the pages end."""
        until = max((p[-1].entry.published_at for p in pages if p), default=0.0)
        for name, log in self._logs.items():
            if name not in behind and log.covers(self._positions[name]):
                items = log.after(self._positions[name], PAGE_ENTRIES)
                yield [item for item in items if item.entry.published_at <= until]

    async def _read_channel(self, name: str) -> list[LogItem]:
        log, moved = self._logs[name], self._table[name].moved
        history = await self._storage.read(name, self._positions[name], PAGE_ENTRIES)
        if history.head.epoch != log.head.epoch:
            await self._restart(name, log)
            return []
        if history.gap is not None:
            self._missing[name] = history.gap, history.start
            is_ahead = history.start.offset > log.head.offset
            # Of what has not reached this process yet it does not know either.
            if self._table[name].has_retained or is_ahead:
                is_same = history.gap == "trimmed"
                self._known_until[name] = self._positions[name].offset if is_same else 0
                return []  # what is retained comes before it
        else:
            # The client's position, which may have another epoch than the client sent.
            self._is_renamed |= history.start != self._positions[name]
            self._positions.advance(name, history.start)
            if history.start.offset > log.head.offset:
                # The client has entries that have not reached this process yet. If it
                # joined now, they would be sent again.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_BEHIND_SECONDS):
                        await moved.wait()
                return []
        return [
            LogItem.of(entry)
            for entry in history.entries
            if entry.position.offset <= log.head.offset
        ]

    async def _read_retained(self) -> list[LogItem]:
        """Return a page of retained entries, up to the positions of the client."""
        pages = []
        for name, after in tuple(self._positions.replayed.items()):
            head = self._logs[name].head
            found = await self._storage.retained(name, after, PAGE_ENTRIES)
            until = self._positions[name]
            page = [
                LogItem.of(entry)
                for entry in found.entries
                if entry.position.epoch == until.epoch
                and entry.position.offset <= until.offset
            ]
            if not page:
                self._positions.end_replay(name)
            if not found.entries and not after and self._logs[name].head == head:
                # All have been forgotten since. New ones are told by their entries.
                self._table[name].has_retained = False
            pages.append(page)
        return merged(pages)

    async def _restart(self, name: str, log: ChannelLog) -> None:
        """Continue a log in its channel's present epoch."""
        head = log.head
        history = await self._storage.read(name, head, 0)
        if log.head == head and history.start.epoch != head.epoch:
            gap = history.gap is not None
            self._table.on_restart(name, history.start, gap=gap)

    async def _write(self, page: list[LogItem]) -> None:
        blocks = self._announcement()
        if (joined := self._joined(page)) is not None:
            await self._write_and_drain([*blocks, joined])
            return
        size = 0
        for item in page:
            blocks.append(self._block(item))
            size += len(blocks[-1])
            if size > PAGE_BYTES:
                await self._write_and_drain(blocks)
                blocks, size = [], 0
        await self._write_and_drain(blocks)

    def _joined(self, page: list[LogItem]) -> bytes | None:
        """
        Return the blocks of a page as one that others may have been given.

        Args:
            page: Entries that follow the client's positions, which are moved past them.

        Returns:
            :obj:`None` if the page is this client's alone. Then nothing is moved.
        """
        if not is_common(page, self._subscriber.selection, self._positions):
            return None
        last = page[-1].entry
        key = last.channel, page[0].entry.position, last.position
        joined = self._pages.get(key)
        if joined is None:
            joined = b"".join(map(self._block, page))
            self._pages.keep(key, joined)
        self._positions.advance(last.channel, last.position)
        return joined

    def _block(self, item: LogItem) -> bytes:
        entry = item.entry
        if entry.is_end:
            self._told_ends[entry.channel] = entry.position
        if entry.channel in self._positions.replayed:
            return retained_block(item, self._positions)
        return entry_block(item, self._positions)

    async def _write_and_drain(self, blocks: list[bytes]) -> None:
        if blocks:
            self._is_renamed = False
        self._subscriber.give(*blocks)
        self._subscriber.note(self._positions)
        await self._subscriber.drained()
        # Yield to the loop, also if the client takes all at once and the logs hold all.
        await asyncio.sleep(0)

    def _announcement(self) -> list[bytes]:
        """Return the blocks that have to come before the next entries."""
        blocks = []
        self._mark_ends()
        if not self._is_opened:
            blocks.append(self._opening.block(self._positions, resumed=self._is_resumed))
            self._is_opened = True
        for name in sorted(self._cut_off):
            self._told_ends[name] = self._positions[name]
            blocks.append(end_block(name, self._positions))
        self._cut_off = set()
        if self._missing:
            for name, (_, start) in self._missing.items():
                self._positions.advance(name, start)
                if name in self._known_until:
                    self._positions.replay(name, self._known_until[name])
            self._mark_ends()
            blocks.append(gap_block(self._missing, self._positions))
            self._missing, self._known_until = {}, {}
            self._counters.gaps += 1
        return blocks

    def _mark_ends(self) -> None:
        """State in the next ids which ends the client has yet to be told."""
        for name, log in self._logs.items():
            if name in self._cut_off or (
                self._table[name].has_ended
                and self._positions[name] == log.head
                and self._told_ends.get(name) != log.head
            ):
                self._positions.withhold_end(name)
            else:
                self._positions.tell_end(name)
