"""
The broker: what is known of each channel, and what comes on lines, joined without holes.

Pub/sub is only the wake-up and the fast path. Each message carries its offset, and
whenever that is not the next one, or a connection has been made anew, the channel is
*catching up*: what is missing is read from storage, and messages wait for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import math
import random
from collections import OrderedDict, deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import ClusterDownError, RedisError

from ...channels.entry import Entry
from ...channels.names import is_internal
from ...channels.position import Position
from ...errors import BrokerUnavailableError
from ..base import Attempt, Broker, History, resolve
from ..epoch import new_epoch
from ..once import OnceLog
from .check import check
from .line import cancel, reason_of
from .names import Names
from .scripts import APPEND, FIND, READ
from .topology import new_topology
from .values import (
    DAMAGED,
    Seen,
    Stored,
    dump_event,
    dump_plain,
    load_message,
    load_plain,
    load_row,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from ...channels.position import GapReason
    from ...event import Event
    from ..base import Listener, Retention
    from ..plain import PlainChannels
    from .address import Address
    from .line import Line
    from .scripts import Script
    from .topology import Purpose, Topology

__all__ = ["RedisBroker"]

_log = logging.getLogger("heliograph.brokers.redis")

# A channel without history is forgotten after this, and then begins another life.
_FORGET_CHANNEL_SECONDS = 30 * 86_400

# How long the confirmation of a subscription may take.
_SUBSCRIBE_SECONDS = 5.0

# Entries fetched at once when something was missed; and bytes, whoever asks.
_PAGE = 500
_PAGE_BYTES = 1_048_576

# A listener may have many feeds to append to; it is given so many entries in one step.
_ENTRIES_BETWEEN_YIELDS = 16

# Entries that may wait for a channel that is catching up; beyond it they are read, too.
_EARLY = 500

# Between two tries to catch up.
_RETRY_SECONDS = 0.5

# Between two looks at what is listened to. It must be well below the three weeks after
# which a position before a channel's first event may no longer be valid.
_RENEW_SECONDS = 6 * 3600.0

# Channels of which the last position known is kept.
_CHANNELS_SEEN = 10_000

# Messages of ours on plain channels that we have yet to meet there.
_TWINS = 100


class _Channel:
    """A channel that is listened to."""

    __slots__ = (
        "again",
        "catching_up",
        "confirmed",
        "early",
        "line",
        "name",
        "seen",
        "twins",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.line: Line | None = None
        self.confirmed = asyncio.Event()
        # The place of what was handed on last; :obj:`None` until Redis has said it.
        self.seen: Seen | None = None
        # Set until that is known; then whenever something may be missing.
        self.catching_up: asyncio.Task[None] | None = None
        # Messages that wait for it, and whether something may be missing once more.
        self.early: list[Stored] = []
        self.again = False
        # What has come with its offset, and will come once more on the plain channel.
        self.twins: deque[bytes] = deque(maxlen=_TWINS)


class _Page(NamedTuple):
    """What was read, with tokens, and the place of the head."""

    history: History
    entries: list[Stored]
    place: Seen


class RedisBroker(Broker):
    """
    A broker in Redis 5 or later, or Valkey; in a cluster, Redis 7 or later.

    A publish that returned is as durable as Redis makes it: with ``appendonly yes`` it
    survives kill -9 of any process.

    Args:
        address: Where Redis is.
        retention: How much history is kept per channel.
        plain_channels: What is exchanged on plain channels, too.
        clock: Gives seconds since the epoch of Unix; :obj:`None` for Redis's own clock,
            which is the same for all machines.
    """

    def __init__(
        self,
        address: Address,
        retention: Retention,
        *,
        plain_channels: PlainChannels | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.resource = address.shown
        self._address = address
        self._names = Names(address.prefix, sharded=address.kind == "cluster")
        self._retention = retention
        self._plain_channels = plain_channels
        self._clock = clock
        self._channels: dict[str, _Channel] = {}
        # Name in Redis -> its channel, and whether it is the plain one.
        self._named: dict[str, tuple[_Channel, bool]] = {}
        # The last place known of channels: Redis is told, and so notices when it has lost
        # what was there.
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        # Where Redis takes no writes, what channels without an event share. See .scripts.
        self._unstored_life = new_epoch()
        self._once = OnceLog(_log)
        self._down: set[Line] = set()
        self._placing: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        # Of what is no longer listened to.
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self, listener: Listener) -> None:
        """
        Begin to work on the running loop.

        Raises:
            ConfigError: Redis can be reached, and refuses what it will go on refusing.
        """
        self._listener = listener
        self._topology: Topology = new_topology(self._address, self._names.alive, self)
        try:
            await check(self._address, self._topology, self._names)
        except BaseException:
            await self._topology.close()
            raise
        self._renewing = asyncio.create_task(self._renew())

    async def close(self) -> None:
        """Finish the appends that have begun, then release everything."""
        self._closed = True
        await cancel(self._renewing)
        await cancel(self._placing)
        for channel in self._channels.values():
            self._end_soon(cancel(channel.catching_up))
        while self._endings:
            await asyncio.wait(self._endings)
        await self._topology.close()

    async def append(
        self, channel: str, event: Event, *, repeats: Attempt | None = None
    ) -> Entry:
        """Store an event as the next of its channel."""
        attempt = repeats or Attempt()
        plain = self._plain_form(channel, event)
        arguments = [
            *self._common_arguments(channel),
            dump_event(event),
            self._retention.events,
            "SPUBLISH" if self._address.kind == "cluster" else "PUBLISH",
            self._names.live(channel),
            attempt.token,
            "again" if attempt.was_tried else "",
            "" if plain is None else channel,
            plain or "",
            "" if attempt.after is None else attempt.after.epoch,
            0 if attempt.after is None else attempt.after.offset,
            "" if event.id is None else f"={event.id}",
        ]
        if not attempt.was_tried:
            attempt.was_tried = True
            if channel in self._seen:
                attempt.after = self._seen[channel].position
        epoch, offset, now = await self._call("append", APPEND, channel, arguments)
        position = Position(epoch.decode(), int(offset))
        self._see(channel, Seen(position, attempt.token, now.decode()))
        return Entry(channel, position, event, float(now))

    async def read(self, channel: str, after: Position | None, limit: int) -> History:
        """Give what follows a position. What is damaged is skipped, and makes a gap."""
        return (await self._read(channel, after, limit)).history

    async def find(self, channel: str, event_id: str) -> Position | None:
        """Return the position of the one entry with a publisher's own id."""
        # As it is: what no event can have, a lone surrogate, is found nowhere.
        wanted = event_id.encode(errors="surrogatepass")
        arguments = [*self._common_arguments(channel), wanted]
        found = await self._call("read", FIND, channel, arguments)
        if found is None:
            return None
        epoch, offset = found
        return Position(epoch.decode(), int(offset))

    async def listen(self, channel: str) -> Position:
        """Hand new entries of a channel to the listener from now on."""
        if self._closed:
            raise BrokerUnavailableError(self.resource, "the broker has been closed")
        heard = self._channels[channel] = _Channel(channel)
        ready: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        heard.catching_up = asyncio.create_task(self._begin(heard, ready))
        try:
            return await ready
        except BaseException:
            if self._channels.get(channel) is heard:
                self.unlisten(channel)
            else:
                self._end_soon(cancel(heard.catching_up))
            raise

    def unlisten(self, channel: str) -> None:
        """Stop that. Entries under way may still come."""
        heard = self._channels.pop(channel, None)
        if heard is None:
            return
        names = self._names_of(channel)
        for name in names:
            self._named.pop(name, None)
        self._end_soon(cancel(heard.catching_up))
        if heard.line is not None:
            self._end_soon(heard.line.remove(tuple(names)))

    def _end_soon(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending, context=contextvars.Context())
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    # What happens on lines.

    def on_up(self, line: Line) -> None:
        """Take note that a line is connected."""
        if line in self._down:
            self._down.discard(line)
            if not self._down:
                self._listener.on_connection(up=True, reason="")

    def on_down(self, line: Line, reason: str) -> None:
        """Take note that a line is not connected."""
        if not self._down:
            self._listener.on_connection(up=False, reason=f"{self.resource}: {reason}")
        self._down.add(line)
        self.on_moved()

    def on_moved(self) -> None:
        """Look where channels are now."""
        if self._address.kind == "cluster" and self._placing is None and not self._closed:
            self._placing = asyncio.create_task(self._place_all())

    def on_subscribed(self, name: str) -> None:
        """Read what came before a subscription, if the place is known."""
        channel, plain = self._named.get(name, (None, True))
        if channel is None or plain:
            return
        channel.twins.clear()
        if channel.confirmed.is_set():
            self._catch_up(channel)
        channel.confirmed.set()

    def on_message(self, name: str, data: bytes) -> None:
        """Hand on an entry if it is the next one."""
        channel, plain = self._named.get(name, (None, True))
        if channel is None:
            return
        if plain:
            self._on_plain(channel, data)
            return
        try:
            stored, has_twin = load_message(channel.name, data)
        except DAMAGED as error:
            self._log_skipped(channel.name, error)
            return
        twin = self._plain_form(channel.name, stored.entry.event) if has_twin else None
        if twin is not None:
            channel.twins.append(twin.encode())
        self._on_published(channel, stored)

    def _on_published(self, channel: _Channel, stored: Stored) -> None:
        if channel.catching_up is None:
            self._take(channel, stored)
        elif len(channel.early) < _EARLY:
            channel.early.append(stored)
        else:
            channel.again = True

    def _on_plain(self, channel: _Channel, data: bytes) -> None:
        if data in channel.twins:
            # Ours: it has come already, with its place. What was before it is lost.
            while channel.twins.popleft() != data:
                pass
            return
        assert self._plain_channels is not None  # noqa: S101 - or none is subscribed to
        try:
            event = load_plain(data, self._plain_channels.format)
        except DAMAGED as error:
            self._log_skipped(channel.name, error)
            return
        self._listener.on_passing(channel.name, event)

    # Without holes.

    async def _begin(self, channel: _Channel, ready: asyncio.Future[Position]) -> None:
        try:
            with self._errors():
                await self._place(channel)
                # Whoever asks for the head before Redis has confirmed may miss what comes
                # between the two.
                async with asyncio.timeout(_SUBSCRIBE_SECONDS):
                    await channel.confirmed.wait()
            channel.seen = (await self._read(channel.name, None, 0)).place
            if not ready.done():
                ready.set_result(channel.seen.position)
        except BrokerUnavailableError as error:
            if not ready.done():
                ready.set_exception(error)
            return
        finally:
            if not ready.done():
                # Ended by something else, of which whoever waits must learn, too.
                ready.set_exception(BrokerUnavailableError(self.resource, "closed"))
        await self._bring_up(channel)

    def _catch_up(self, channel: _Channel) -> asyncio.Task[None]:
        channel.again = True
        if channel.catching_up is None:
            channel.catching_up = asyncio.create_task(self._bring_up(channel))
        return channel.catching_up

    async def _renew(self) -> None:
        """
        Read every channel that is listened to from time to time, one after the other.

        A position before a channel's first event is replaced while it is still valid, and
        the row of a channel with events does not expire.
        """
        while True:
            await asyncio.sleep(_RENEW_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
            for channel in tuple(self._channels.values()):
                if channel.catching_up is not None or channel.line in self._down:
                    continue  # it is read in any case, now or after the reconnect
                if self._channels.get(channel.name) is channel:
                    task = self._catch_up(channel)
                    await asyncio.wait({task}, timeout=_RETRY_SECONDS)

    async def _bring_up(self, channel: _Channel) -> None:
        while True:
            try:
                if channel.again:
                    channel.again = False
                    await self._read_on(channel)
                early, channel.early = channel.early, []
                for stored in early:
                    self._take(channel, stored)
            except Exception:  # noqa: BLE001 - logged; the reason follows
                # The boundary of a task: without this the channel would be deaf.
                _log.exception("channel %r: cannot catch up, trying again", channel.name)
                channel.again = True
                await asyncio.sleep(_RETRY_SECONDS)
            if not channel.again:
                # No await since the last look: whatever comes now is the next, or starts
                # this anew.
                channel.catching_up = None
                return

    async def _read_on(self, channel: _Channel) -> None:
        while True:
            seen = channel.seen
            assert seen is not None  # noqa: S101 - set before anything can be missing
            after = seen.position
            try:
                page = await self._read(channel.name, after, _PAGE, seen)
            except BrokerUnavailableError as error:
                _log.debug("channel %r: %s", channel.name, error)
                await asyncio.sleep(_RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load
                continue
            start, head = page.history.start, page.history.head
            if start.epoch != after.epoch:
                gap = page.history.gap is not None
                self._listener.on_restart(channel.name, start, gap=gap)
            if start != after:
                # Without the token of what stands there, and not published after this.
                channel.seen = Seen(start, "", page.place.at)
            for first in range(0, len(page.entries), _ENTRIES_BETWEEN_YIELDS):
                # Whatever is published meanwhile waits for this task.
                self._hand_on(
                    channel, page.entries[first : first + _ENTRIES_BETWEEN_YIELDS]
                )
                await asyncio.sleep(0)
            at_end = channel.seen is not None and channel.seen.position == head
            if at_end or (start == after and not page.entries):
                return

    def _take(self, channel: _Channel, stored: Stored) -> None:
        assert channel.seen is not None  # noqa: S101 - messages wait until it is known
        position, before = stored.entry.position, channel.seen.position
        if position == Position(before.epoch, before.offset + 1):
            self._hand_on(channel, [stored])
        elif (
            position.epoch != before.epoch
            or position.offset > before.offset
            or channel.seen.is_outlived_by(stored)
        ):
            self._catch_up(channel)

    def _hand_on(self, channel: _Channel, page: Sequence[Stored]) -> None:
        if not page:
            return
        # First: if it fails they are handed on again, and known ones are passed over.
        self._listener.on_entries([stored.entry for stored in page])
        entry, token = page[-1]
        channel.seen = Seen(entry.position, token, repr(entry.published_at))
        self._see(channel.name, channel.seen)

    # Where channels are.

    async def _place(self, channel: _Channel) -> None:
        names = self._names_of(channel.name)
        node = await self._topology.node(self._names.keys(channel.name)[0])
        if self._channels.get(channel.name) is not channel:
            return  # dropped meanwhile, and perhaps listened to anew
        if channel.line is not node.line:
            for name, plain in names.items():
                self._named[name] = channel, plain
            before, channel.line = channel.line, node.line
            await node.line.add(names)
            if before is not None:
                await before.remove(tuple(names))

    async def _place_all(self) -> None:
        try:
            await self._topology.refresh()
            for channel in tuple(self._channels.values()):
                with contextlib.suppress(ClusterDownError):
                    # Nobody has its slot: it stays on its line, which is down, and so
                    # this is called again.
                    await self._place(channel)
            for line in await self._topology.drop_unused():
                self.on_up(line)
        except (RedisError, OSError) as error:
            # Nobody could be asked. A line will be down again and call this again.
            _log.debug("cannot look where channels are: %s", error)
        finally:
            self._placing = None

    def _names_of(self, channel: str) -> dict[str, bool]:
        names = {self._names.live(channel): False}
        if self._is_exchanged(channel):
            names[channel] = True
        return names

    def _is_exchanged(self, channel: str) -> bool:
        # A user may name a channel as we do in Redis; its plain one would be ours.
        return (
            self._plain_channels is not None
            and self._plain_channels.includes(channel)
            and not is_internal(channel)
            and not self._names.is_ours(channel)
        )

    def _plain_form(self, channel: str, event: Event) -> str | None:
        """Return an event as it is published on the plain channel, if it is."""
        if self._plain_channels is None or not self._is_exchanged(channel):
            return None
        return dump_plain(event, self._plain_channels.format)

    def _log_skipped(self, channel: str, error: Exception) -> None:
        self._once.skipped(channel, "a message that is none of ours", str(error))

    # What is asked of Redis.

    async def _read(
        self,
        channel: str,
        after: Position | None,
        limit: int,
        seen: Seen | None = None,
    ) -> _Page:
        epoch, number, oldest, same, rows, token, at = await self._call(
            "read",
            READ,
            channel,
            [
                *self._common_arguments(channel, seen),
                "" if after is None else after.epoch,
                0 if after is None else after.offset,
                limit,
                _PAGE_BYTES,
            ],
        )
        head = Position(epoch.decode(), int(number))
        offset, gap = resolve(after, head, int(oldest), int(same) if same else None)
        page: list[Stored] = []
        if gap != "unknown":
            offset, gap, page = self._load_page(channel, head, offset, gap, rows)
        if limit and not page and offset < head.offset and not rows:
            # Somebody has removed what should follow.
            offset, gap = head.offset, gap or "trimmed"
        place = Seen(head, token.decode(), at.decode())
        self._see(channel, place)
        history = History(
            entries=tuple(stored.entry for stored in page),
            start=Position(head.epoch, offset),
            head=head,
            gap=gap,
        )
        return _Page(history, page, place)

    def _load_page(
        self,
        channel: str,
        head: Position,
        offset: int,
        gap: GapReason | None,
        rows: Sequence[Any],
    ) -> tuple[int, GapReason | None, list[Stored]]:
        """Give the entries up to the first hole; a hole before them is skipped."""
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

    async def _call(
        self, purpose: Purpose, script: Script, channel: str, arguments: Sequence[Any]
    ) -> Any:
        if self._closed:
            raise BrokerUnavailableError(self.resource, "the broker has been closed")
        keys, common = self._names.keys(channel), self._names.common(channel)
        with self._errors():
            if self._address.kind == "cluster":
                # While a slot moves, a node refuses keys of which it has only some. So the
                # common one is named only for a channel that needs it.
                answer = await self._topology.call(purpose, script, keys, arguments)
                if answer is not None or script is FIND:
                    return answer
            return await self._topology.call(purpose, script, (*keys, common), arguments)

    def _common_arguments(
        self, channel: str, seen: Seen | None = None
    ) -> list[str | float]:
        now = "" if self._clock is None else repr(self._clock())
        seconds = self._retention.seconds
        forget = math.ceil(max(seconds, _FORGET_CHANNEL_SECONDS))
        seen = seen or self._seen.get(channel)
        last: list[str | float] = ["", 0, "", 0]
        if seen is not None:
            last = [seen.position.epoch, seen.position.offset, seen.token, seen.at]
        return [new_epoch(), now, seconds, forget, *last, self._unstored_life]

    def _see(self, channel: str, seen: Seen) -> None:
        if not seen.position.offset:
            # Nothing was seen, and what channels clients ask for must not push out others.
            return
        known = self._seen.get(channel)
        if (
            known is None
            or known.position.epoch != seen.position.epoch
            or known.position.offset < seen.position.offset
        ):
            self._seen[channel] = seen
        self._seen.move_to_end(channel)
        while len(self._seen) > _CHANNELS_SEEN:
            self._seen.popitem(last=False)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            raise BrokerUnavailableError(self.resource, reason_of(error)) from error
