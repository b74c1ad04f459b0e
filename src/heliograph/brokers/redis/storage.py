"""
Read channels in Redis: history, an id, what is retained. Replies are checked here.

Whatever is read may have been written by somebody else. Damaged entries are skipped, and
what is missing makes a gap.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from ...channels.position import Position
from ..values import History, Retained, resolve
from .read_calls import Find, Read, ReadPage, ReadRetained, ReadRetainedAs, RetainedPage
from .seen import LastSeen, Seen
from .values import DAMAGED, Stored, load_retained, load_row, retained_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...channels.entry import Entry
    from ...channels.position import GapReason
    from ..once import OnceLog
    from .execution import Execution
    from .names import Names
    from .scripts import Reply

__all__ = ["Page", "Storage"]

# Size of a page, whoever asks for it: several times what a client is given at once.
_PAGE_BYTES = 262_144

# Pages that are read or handed on at once, for channels that catch up.
_PAGES_AT_ONCE = 32


class Page(NamedTuple):
    """
    A part of a channel's history, with what identifies its entries.

    Args:
        history: As a broker returns it.
        entries: The same entries with their tokens.
        head: The head, and what identifies the entry there.
        has_retained: Whether the channel has retained entries.
    """

    history: History
    entries: list[Stored]
    head: Seen
    has_retained: bool


class Storage:
    """
    Channels in Redis, as one process reads them.

    Args:
        execution: Runs the scripts.
        names: Names of keys and pub/sub channels.
        once: Logs which entries were skipped.

    Attributes:
        seen: The last known position of each channel.
        paging: Held by a channel while it reads and hands on a page. All channels catch up
            after a reconnect, and would hold a page each.
    """

    def __init__(self, execution: Execution, *, names: Names, once: OnceLog) -> None:
        self.seen = LastSeen()
        self.paging = asyncio.Semaphore(_PAGES_AT_ONCE)
        self._execution = execution
        self._names = names
        self._once = once

    async def read(
        self,
        channel: str,
        after: Position | None,
        limit: int,
        seen: Seen | None = None,
        *,
        listens: bool = False,
    ) -> Page:
        """
        Return what follows a position.

        Args:
            channel: A valid name.
            after: Where to begin; :obj:`None` for the oldest entry held.
            limit: Number of entries that are returned at most; 0 for none.
            seen: The caller's own last known position; :obj:`None` for the process's.
            listens: Whether the caller listens to the channel, which keeps it from being
                forgotten.

        Raises:
            BrokerUnavailableError: Redis failed.
        """
        known = seen or self.seen.get(channel)
        call = Read(
            keys=self._names.keys(channel),
            caller=self._execution.caller(channel, known),
            after_epoch="" if after is None else after.epoch,
            after_offset=0 if after is None else after.offset,
            max_entries=limit,
            max_bytes=_PAGE_BYTES,
            listens=listens,
        )

        def begins(found: ReadPage) -> tuple[int, GapReason | None]:
            return resolve(after, found.head, found.oldest_offset, found.same_until)

        def contradicts(found: ReadPage) -> bool:
            # An end as well: the channel may have begun anew, and clients never come back.
            is_unknown = begins(found)[1] in {"unknown", "epoch"} or found.has_ended
            return is_unknown or _is_before(found.head, known)

        found = await self._execution.current(call, Read.parse, contradicts)
        head = found.head
        offset, gap = begins(found)
        entries: list[Stored] = []
        if gap != "unknown":
            offset, gap, entries = self._load(channel, head, offset, gap, found.rows)
        if limit and not entries and offset < head.offset and not found.rows:
            # Somebody has removed what should follow.
            offset, gap = head.offset, gap or "trimmed"
        at_head = Seen(head, found.head_token, found.head_at)
        self.seen.add(channel, at_head)
        history = History(
            entries=tuple(stored.entry for stored in entries),
            start=Position(head.epoch, offset),
            head=head,
            gap=gap,
            began=found.began,
            has_ended=found.has_ended,
        )
        return Page(history, entries, at_head, found.has_retained)

    async def find(self, channel: str, event_id: str) -> Position | None:
        """
        Return the position of the one entry with a publisher's own id.

        Args:
            channel: A valid name.
            event_id: What a client says is the id.

        Raises:
            BrokerUnavailableError: Redis failed.
        """
        known = self.seen.get(channel)
        call = Find(
            keys=self._names.keys(channel),
            caller=self._execution.caller(channel, known),
            # A lone surrogate, which no event can have, is found nowhere.
            event_id=event_id.encode(errors="surrogatepass"),
        )

        def contradicts(found: Position | None) -> bool:
            is_other = known is not None and found and found.epoch != known.position.epoch
            return found is None or bool(is_other)

        return await self._execution.current(call, Find.parse, contradicts)

    async def retained(self, channel: str, after: int, limit: int) -> Retained:
        """
        Return retained entries.

        Args:
            channel: A valid name.
            after: Offset after which they begin.
            limit: Largest number of entries to return.

        Raises:
            BrokerUnavailableError: Redis failed.
        """
        known, begin = self.seen.get(channel), str(after)
        while True:
            call = ReadRetained(
                keys=self._names.keys(channel),
                caller=self._execution.caller(channel, known),
                after=begin,
                max_entries=limit,
                max_bytes=_PAGE_BYTES,
            )
            found = await self._retained(call, known)
            entries = self._load_retained(channel, found)
            if entries or not found.rows:
                return Retained(entries=entries, head=found.head)
            # All of them are damaged.
            begin = found.rows[-1][0].decode()

    async def retained_as(self, channel: str, key: str) -> Entry | None:
        """
        Return the retained entry that has a key; :obj:`None` if there is none.

        Args:
            channel: A valid name.
            key: Of the entry.

        Raises:
            BrokerUnavailableError: Redis failed.
        """
        known = self.seen.get(channel)
        call = ReadRetainedAs(
            keys=self._names.keys(channel),
            caller=self._execution.caller(channel, known),
            kept_as=retained_name(key),
        )
        entries = self._load_retained(channel, await self._retained(call, known))
        return entries[0] if entries else None

    async def _retained(
        self, call: ReadRetained | ReadRetainedAs, known: Seen | None
    ) -> RetainedPage:
        def contradicts(found: RetainedPage) -> bool:
            return _is_before(found.head, known)

        return await self._execution.current(call, call.parse, contradicts)

    def _load_retained(self, channel: str, page: RetainedPage) -> list[Entry]:
        entries = []
        for row in page.rows:
            try:
                entries.append(load_retained(channel, page.head.epoch, row))
            except DAMAGED as error:
                offset = row[0].decode(errors="replace")
                self._once.skipped(
                    channel, "damaged retained entries", f"the first is {offset}: {error}"
                )
        return entries

    def _load(
        self,
        channel: str,
        head: Position,
        offset: int,
        gap: GapReason | None,
        rows: Sequence[Reply],
    ) -> tuple[int, GapReason | None, list[Stored]]:
        """Return the entries up to the first hole; a hole before them is skipped."""
        page: list[Stored] = []
        for row in rows:
            expected = offset + len(page) + 1
            try:
                stored = load_row(channel, head.epoch, row)
            except DAMAGED as error:
                if page:
                    break
                # Once, since it is found again whenever a client asks for it.
                detail = f"the first is {expected}: {error}"
                self._once.skipped(channel, "damaged entries", detail)
                offset, gap = expected, gap or "trimmed"
                continue
            found = stored.entry.position.offset
            if found != expected:
                if page:
                    break
                offset, gap = found - 1, gap or "trimmed"
            page.append(stored)
        return offset, gap, page


def _is_before(head: Position, known: Seen | None) -> bool:
    """Return whether a head lacks what was seen, or belongs to another epoch."""
    if known is None or not known.position.offset:
        return False
    position = known.position
    return head.epoch != position.epoch or head.offset < position.offset
