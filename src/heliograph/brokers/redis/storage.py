"""
Channels in Redis: append to them, read them, find an id. Replies are checked here.

Whatever is read may have been written by somebody else. Damaged entries are skipped, and
what is missing makes a gap.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ...channels.entry import Entry
from ...channels.position import Position
from ...errors import BrokerUnavailableError
from ..base import Attempt, History, resolve
from ..epoch import new_epoch
from .address import ALL
from .availability import is_worth_repeating, unavailable_errors
from .calls import Announce, Append, Caller, Find, Read, ReadPage
from .seen import LastSeen, Seen
from .values import DAMAGED, Stored, dump_event, load_row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ...channels.position import GapReason
    from ...event import Event
    from ..base import Retention
    from ..once import OnceLog
    from .address import Address
    from .calls import Call
    from .exchange import Exchange
    from .names import Names
    from .scripts import Reply
    from .topology import Topology

__all__ = ["Page", "Storage"]

_Result = TypeVar("_Result")

# A channel without history is forgotten after this, and then begins another life.
_FORGET_CHANNEL_SECONDS = 30 * 86_400

# Size of a page, whoever asks for it: several times what a client is given at once.
_PAGE_BYTES = 262_144

# Pages that are read or handed on at once, for channels that catch up.
_PAGES_AT_ONCE = 32

# How often a server is looked up while answers contradict what is known.
_LOOKS = 2


class Page(NamedTuple):
    """
    A part of a channel's history, with what identifies its entries.

    Args:
        history: As a broker returns it.
        entries: The same entries with their tokens.
        head: The head, and what identifies the entry there.
    """

    history: History
    entries: list[Stored]
    head: Seen


class Storage:
    """
    Channels in Redis, as one process uses them.

    Args:
        address: Where Redis is.
        topology: The servers.
        names: Names of keys and pub/sub channels.
        exchange: What is also published on plain channels.
        retention: How much history is kept per channel.
        clock: Returns seconds since the epoch of Unix; :obj:`None` for Redis's own clock,
            which is the same for all machines.
        once: Logs which entries were skipped.

    Attributes:
        seen: The last known position of each channel.
        paging: Held by a channel while it reads and hands on a page. All channels catch up
            after a reconnect, and would hold a page each.
    """

    def __init__(
        self,
        address: Address,
        *,
        topology: Topology,
        names: Names,
        exchange: Exchange,
        retention: Retention,
        clock: Callable[[], float] | None,
        once: OnceLog,
    ) -> None:
        self.seen = LastSeen()
        self.paging = asyncio.Semaphore(_PAGES_AT_ONCE)
        self._once = once
        self._address = address
        self._topology = topology
        self._names = names
        self._exchange = exchange
        self._retention = retention
        self._clock = clock
        # Where Redis takes no writes, channels without an event share a life of this name.
        self._unstored_epoch = new_epoch()
        self._closed = False

    def close(self) -> None:
        """Refuse further calls. Those that have begun are finished."""
        self._closed = True

    def check_open(self) -> None:
        """
        Raise an error if the broker has been closed.

        Raises:
            BrokerUnavailableError: It has been closed.
        """
        if self._closed:
            raise BrokerUnavailableError(self._address.shown, "the broker has been closed")

    async def append(self, channel: str, event: Event, attempt: Attempt) -> Entry:
        """
        Store an event as the next of its channel.

        Args:
            channel: A valid name.
            event: Any event.
            attempt: The same object for each repetition.

        Raises:
            BrokerUnavailableError: Redis failed; the entry may or may not be there.
        """
        return await self._twice(lambda: self._append(channel, event, attempt))

    async def _append(self, channel: str, event: Event, attempt: Attempt) -> Entry:
        plain = self._exchange.dump(channel, event)
        # Whoever sees an event that is lost in a failover sees it again afterwards.
        is_announced = self._address.replicas == ALL
        call = Append(
            keys=self._names.keys(channel),
            caller=self._caller(self.seen.get(channel)),
            event=dump_event(event),
            max_entries=self._retention.events,
            publish_command="SPUBLISH" if self._address.kind == "cluster" else "PUBLISH",
            live_channel=self._names.live(channel),
            token=attempt.token,
            is_announced=is_announced,
            is_repeat=attempt.was_tried,
            after_epoch="" if attempt.after is None else attempt.after.epoch,
            after_offset=0 if attempt.after is None else attempt.after.offset,
            plain_channel="" if plain is None else channel,
            plain_message=plain or "",
            id_field="" if event.id is None else f"={event.id}",
        )
        if not attempt.was_tried:
            attempt.was_tried = True
            seen = self.seen.get(channel)
            if seen is not None:
                attempt.after = seen.position
        stored = Append.parse(await self._call(call))
        position = stored.position
        if is_announced:
            position = await self._announce(channel, call, position)
        self.seen.add(channel, Seen(position, attempt.token, stored.at))
        return Entry(channel, position, event, float(stored.at))

    # Replicas must know that an entry is shown, too: otherwise one of them takes over, and
    # nobody sees the entry until another one is announced.
    async def _announce(self, channel: str, append: Append, stored: Position) -> Position:
        announcement = Announce(
            keys=append.keys,
            caller=self._caller(self.seen.get(channel)),
            stored_epoch=stored.epoch,
            stored_offset=stored.offset,
            token=append.token,
            is_repeat=append.is_repeat,
            publish_command=append.publish_command,
            live_channel=append.live_channel,
            plain_channel=append.plain_channel,
            plain_message=append.plain_message,
        )
        position = Announce.parse(await self._call(announcement))
        if position is None:
            raise BrokerUnavailableError(
                self._address.shown, "the event was lost before it was announced"
            )
        return position

    async def read(
        self,
        channel: str,
        after: Position | None,
        limit: int,
        seen: Seen | None = None,
    ) -> Page:
        """
        Return what follows a position.

        Args:
            channel: A valid name.
            after: Where to begin; :obj:`None` for the oldest entry held.
            limit: Number of entries that are returned at most; 0 for none.
            seen: The caller's own last known position; :obj:`None` for the process's.

        Raises:
            BrokerUnavailableError: Redis failed.
        """
        known = seen or self.seen.get(channel)
        call = Read(
            keys=self._names.keys(channel),
            caller=self._caller(known),
            after_epoch="" if after is None else after.epoch,
            after_offset=0 if after is None else after.offset,
            max_entries=limit,
            max_bytes=_PAGE_BYTES,
        )

        def begins(found: ReadPage) -> tuple[int, GapReason | None]:
            return resolve(after, found.head, found.oldest_offset, found.same_until)

        def contradicts(found: ReadPage) -> bool:
            is_unknown = begins(found)[1] in {"unknown", "epoch"}
            return is_unknown or _is_before(found.head, known)

        found = await self._current(call, Read.parse, contradicts)
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
        )
        return Page(history, entries, at_head)

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
            caller=self._caller(known),
            # A lone surrogate, which no event can have, is found nowhere.
            event_id=event_id.encode(errors="surrogatepass"),
        )

        def contradicts(found: Position | None) -> bool:
            is_other = known is not None and found and found.epoch != known.position.epoch
            return found is None or bool(is_other)

        return await self._current(call, Find.parse, contradicts)

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

    async def _current(
        self,
        call: Call,
        parse: Callable[[Reply], _Result],
        contradicts: Callable[[_Result], bool],
    ) -> _Result:
        """
        Return an answer of a server that is current.

        A former primary knows nothing of what was published after a failover, and answers
        as a server does that has lost it.

        Args:
            call: One that stores nothing.
            parse: Reads its reply.
            contradicts: Returns whether an answer may be that of a former primary.
        """

        async def ask() -> _Result:
            return parse(await self._twice(lambda: self._call(call)))

        found = await ask()
        if self._address.kind == "server" or not contradicts(found):
            return found
        for _ in range(_LOOKS):
            with unavailable_errors(self._address.shown):
                is_confirmed = await self._topology.confirm(call.keys.row)
            # After the look: what was answered before may be another server's.
            found = await ask()
            if is_confirmed or not contradicts(found):
                return found
        raise BrokerUnavailableError(
            self._address.shown, "a failover is under way: the primary is not known yet"
        )

    async def _twice(self, function: Callable[[], Awaitable[_Result]]) -> _Result:
        """Call a function, and once more if that may succeed on a new connection."""
        try:
            return await function()
        except BrokerUnavailableError as error:
            if not is_worth_repeating(error.__cause__):
                raise
        return await function()

    async def _call(self, call: Call) -> Reply:
        self.check_open()
        with unavailable_errors(self._address.shown):
            if self._address.kind == "cluster":
                # While a slot moves, a node refuses keys of which it has only some. So the
                # common one is named only for a channel that needs it.
                reply = await self._topology.call(call.request(with_common=False))
                if reply is not None or isinstance(call, Find | Announce):
                    return reply
            return await self._topology.call(call.request())

    def _caller(self, seen: Seen | None) -> Caller:
        seconds = self._retention.seconds
        return Caller(
            new_epoch=new_epoch(),
            now="" if self._clock is None else repr(self._clock()),
            history_seconds=seconds,
            forget_seconds=math.ceil(max(seconds, _FORGET_CHANNEL_SECONDS)),
            unstored_epoch=self._unstored_epoch,
        ).having_seen(seen)


def _is_before(head: Position, known: Seen | None) -> bool:
    """Return whether a head lacks what was seen, or belongs to another epoch."""
    if known is None or not known.position.offset:
        return False
    position = known.position
    return head.epoch != position.epoch or head.offset < position.offset
