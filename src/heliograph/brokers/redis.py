"""
Channels in Redis: any number of machines share them.

A channel is two keys with one hash tag: a hash with its epoch and head, and a stream
whose entry ids are the offsets. One script gives the offset, stores, trims and publishes,
atomically. One connection listens, however many channels and clients there are.

Pub/sub forgets what it cannot deliver, so it is only the wake-up and the fast path: each
message carries its offset, and whenever that is not the next one, or the connection was
lost, what is missing is read from the stream before anything else is handed on.

Needs the extra ``heliograph[redis]``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import random
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

try:
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "redis:// needs the package redis: pip install 'heliograph[redis]'", name="redis"
    ) from error

from ..channels.entry import Entry
from ..channels.position import Position
from ..errors import BrokerUnavailableError
from ..event import Event
from .base import Broker, History, resolve
from .epoch import new_epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from redis.asyncio.client import PubSub

    from .base import Listener, Retention

__all__ = ["RedisBroker"]

_log = logging.getLogger("heliograph.brokers.redis")

_PREFIX = "heliograph:"
_ALIVE = f"{_PREFIX}alive"
_LIVE = re.compile(rf"{_PREFIX}\{{(.*)\}}:live")

# A channel without history is forgotten after this, and then begins another life.
_FORGET_CHANNEL_SECONDS = 30 * 86_400

# How long Redis may take to connect or to answer.
_TIMEOUT_SECONDS = 5.0

# Silence after which Redis is asked whether it is still there; and again, before the
# connection is given up.
_SILENCE_SECONDS = 5.0

# One listens; the others are for appends and reads at the same time.
_CONNECTIONS = 9

_RETRY_SECONDS = 0.1
_RETRY_SECONDS_AT_MOST = 5.0

# Entries fetched at once when something was missed, or an id of the publisher's is sought.
_PAGE = 500

# What both scripts begin with. KEYS: hash, stream. ARGV: candidate for the epoch, now or
# "", seconds of history, seconds until forgotten.
_BEGIN = """
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
    epoch = ARGV[1]
    redis.call('HSET', KEYS[1], 'epoch', epoch, 'head', 0)
    redis.call('DEL', KEYS[2])
end
local now = ARGV[2]
if now == '' then
    local time = redis.call('TIME')
    now = time[1] .. '.' .. string.format('%06d', time[2])
end
-- A channel that nobody has published to is only a question that somebody asked.
local unused = redis.call('HGET', KEYS[1], 'head') == '0'
redis.call('EXPIRE', KEYS[1], unused and 86400 or ARGV[4])
local oldest_allowed = tonumber(now) - tonumber(ARGV[3])
while true do
    local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    if not first or tonumber(first[2][4]) >= oldest_allowed then break end
    redis.call('XDEL', KEYS[2], first[1])
end
"""

# ARGV goes on: event, most entries, channel to publish on.
_APPEND = (
    _BEGIN
    + """
local offset = redis.call('HINCRBY', KEYS[1], 'head', 1)
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[6], offset .. '-0', 'event', ARGV[5], 'at', now)
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
redis.call('PUBLISH', ARGV[7], epoch .. ' ' .. offset .. ' ' .. now .. ' ' .. ARGV[5])
return {epoch, offset, now}
"""
)

_LOOK = (
    _BEGIN
    + """
local head = redis.call('HGET', KEYS[1], 'head')
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
return {epoch, head, first and first[1] or ''}
"""
)


# What comes of reading an entry or a message that somebody else has written.
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, AssertionError)


class RedisBroker(Broker):
    """
    A broker in Redis 5 or later.

    A publish that returned is as durable as Redis makes it: with ``appendonly yes`` it
    survives kill -9 of any process.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py reads it.
        retention: How much history is kept per channel.
        clock: Gives seconds since the epoch of Unix; :obj:`None` for Redis's own clock,
            which is the same for all machines.
    """

    def __init__(
        self,
        url: str,
        retention: Retention,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._url = url
        parts = urlsplit(url)
        self._resource = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._retention = retention
        self._clock = clock
        # Channel -> what was handed on last; None until Redis has said where it is.
        self._handed_on: dict[str, Position | None] = {}
        # What came while it had not.
        self._early: dict[str, list[Entry]] = {}
        self._confirmed: dict[str, asyncio.Event] = {}
        self._pubsub: PubSub | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, listener: Listener) -> None:
        """Begin to work on the running loop. Redis is connected to when it is needed."""
        self._listener = listener
        pool = BlockingConnectionPool.from_url(
            self._url,
            max_connections=_CONNECTIONS,
            timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            socket_timeout=_TIMEOUT_SECONDS,
            # The driver would repeat an append that may have been done, and would connect
            # a listener anew behind our back.
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis.from_pool(pool)
        self._append_script = self._redis.register_script(_APPEND)
        self._look_script = self._redis.register_script(_LOOK)

    async def close(self) -> None:
        """Release everything."""
        task = self._task
        while task is not None and not task.done():
            # More than once: a cancellation that reaches redis-py 8.1 in the middle of a
            # command may be lost there.
            task.cancel()
            await asyncio.wait({task}, timeout=_RETRY_SECONDS)
        await self._redis.aclose()

    async def append(self, channel: str, event: Event) -> Entry:
        """Store an event as the next of its channel."""
        with self._errors():
            epoch, offset, now = await self._append_script(
                keys=_keys(channel),
                args=[
                    *self._common_arguments(),
                    _dump(event),
                    self._retention.events,
                    _live(channel),
                ],
            )
        position = Position(epoch.decode(), int(offset))
        return Entry(channel, position, event, float(now))

    async def read(self, channel: str, after: Position | None, limit: int) -> History:
        """Give what follows a position."""
        with self._errors():
            while True:
                head, oldest = await self._look(channel)
                offset, gap = resolve(after, head, oldest)
                entries = await self._entries(channel, head, offset, limit)
                # Between the two calls the oldest may have been trimmed; then look again.
                if not entries or entries[0].position.offset == offset + 1:
                    break
        start = Position(head.epoch, offset)
        return History(entries=entries, start=start, head=head, gap=gap)

    async def find(self, channel: str, event_id: str) -> Position | None:
        """Give the place of the one entry with a publisher's own id."""
        found: list[Position] = []
        page = await self.read(channel, None, _PAGE)
        while page.entries:
            found += [e.position for e in page.entries if e.event.id == event_id]
            page = await self.read(channel, page.entries[-1].position, _PAGE)
        return found[0] if len(found) == 1 else None

    async def listen(self, channel: str) -> Position:
        """Hand new entries of a channel to the listener from now on."""
        self._handed_on[channel] = None
        self._early[channel] = []
        confirmed = self._confirmed[channel] = asyncio.Event()
        if self._task is None:
            self._task = asyncio.create_task(self._follow())
        with self._errors():
            if self._pubsub is not None:
                await self._pubsub.subscribe(_live(channel))
            # Whoever asks for the head before Redis has confirmed may miss what comes
            # between the two.
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await confirmed.wait()
            head, _ = await self._look(channel)
        self._handed_on[channel] = head
        for entry in self._early.pop(channel, ()):
            if self._is_next(entry):
                self._hand_on([entry])
        return head

    async def unlisten(self, channel: str) -> None:
        """Stop that. Entries under way may still come."""
        self._handed_on.pop(channel, None)
        self._early.pop(channel, None)
        self._confirmed.pop(channel, None)
        if self._pubsub is not None:
            # If it fails the connection is made anew, without this channel.
            with contextlib.suppress(RedisError, OSError):
                await self._pubsub.unsubscribe(_live(channel))

    async def _look(self, channel: str) -> tuple[Position, int]:
        epoch, head, oldest = await self._look_script(
            keys=_keys(channel), args=self._common_arguments()
        )
        position = Position(epoch.decode(), int(head))
        return position, int(oldest.partition(b"-")[0] or position.offset + 1)

    async def _entries(
        self, channel: str, head: Position, offset: int, limit: int
    ) -> tuple[Entry, ...]:
        if not limit:
            return ()
        # The driver's types leave open whether it decodes; ours does not.
        rows: Any = await self._redis.xrange(
            _keys(channel)[1], min=f"({offset}-0", max=f"{head.offset}-0", count=limit
        )
        entries = []
        for row, fields in rows:
            number = row.partition(b"-")[0]
            try:
                entry = _load(channel, head.epoch, number, fields[b"at"], fields[b"event"])
            except _DAMAGED as error:
                raise BrokerUnavailableError(
                    self._resource,
                    f"damaged entry {number.decode()} in channel {channel!r}: {error}",
                ) from error
            entries.append(entry)
        return tuple(entries)

    async def _follow(self) -> None:
        delay = _RETRY_SECONDS
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    # Always one more, so that it stays a connection that listens.
                    names = [_ALIVE, *map(_live, self._handed_on)]
                    await pubsub.subscribe(*names)
                    self._pubsub = pubsub
                    # Listened to while we were connecting.
                    late = {_live(channel) for channel in self._handed_on} - set(names)
                    if late:
                        await pubsub.subscribe(*late)
                    delay = _RETRY_SECONDS
                    await self._receive(pubsub)
            except (RedisError, OSError, BrokerUnavailableError) as error:
                _log.warning("no longer listening, connecting anew: %s", error)
            except Exception:  # noqa: BLE001 - logged; the reason follows
                # The boundary of a task: without this the process would be deaf.
                _log.exception("cannot listen, connecting anew")
            finally:
                self._pubsub = None
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load
            delay = min(2 * delay, _RETRY_SECONDS_AT_MOST)

    async def _receive(self, pubsub: PubSub) -> None:
        asked = False
        while True:
            message = await pubsub.get_message(timeout=_SILENCE_SECONDS)
            if message is not None:
                asked = False
                await self._on_message(message)
            elif asked:
                raise TimeoutError("Redis no longer answers")
            else:
                asked = True
                await pubsub.ping()

    async def _on_message(self, message: dict[str, Any]) -> None:
        if message["type"] not in {"subscribe", "message"}:
            return  # a pong names no channel
        channel = _channel_of(message["channel"])
        if channel is None or channel not in self._handed_on:
            return
        handed_on = self._handed_on[channel]
        if message["type"] == "subscribe":
            self._confirmed[channel].set()
            if handed_on is not None:
                # A new connection: what was published in between is read first.
                await self._fill(channel)
        elif message["type"] == "message":
            await self._on_published(channel, message["data"], handed_on)

    async def _on_published(
        self, channel: str, data: bytes, handed_on: Position | None
    ) -> None:
        try:
            epoch, offset, now, event = data.split(b" ", 3)
            entry = _load(channel, epoch.decode(), offset, now, event)
        except _DAMAGED:
            _log.warning("channel %r: skipped a message that is none of ours", channel)
            return
        if handed_on is None:
            self._early[channel].append(entry)
        elif self._is_next(entry):
            self._hand_on([entry])
        elif entry.position.epoch != handed_on.epoch or (
            entry.position.offset > handed_on.offset
        ):
            await self._fill(channel)

    async def _fill(self, channel: str) -> None:
        while (handed_on := self._handed_on.get(channel)) is not None:
            try:
                history = await self.read(channel, handed_on, _PAGE)
            except BrokerUnavailableError as error:
                if not isinstance(error.__cause__, _DAMAGED):
                    raise
                # Past it: the others come, and the hole that it makes is announced.
                _log.error("skipped: %s", error)
                head, _ = await self._look(channel)
                self._handed_on[channel] = head
                return
            if channel not in self._handed_on:
                return
            self._handed_on[channel] = history.start
            if not history.entries:
                return
            self._hand_on(history.entries)

    def _is_next(self, entry: Entry) -> bool:
        handed_on = self._handed_on[entry.channel]
        return handed_on is not None and entry.position == Position(
            handed_on.epoch, handed_on.offset + 1
        )

    def _hand_on(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._handed_on[entry.channel] = entry.position
        if entries:
            self._listener(entries)

    def _common_arguments(self) -> list[str | float]:
        now = "" if self._clock is None else repr(self._clock())
        seconds = self._retention.seconds
        forget = math.ceil(max(seconds, _FORGET_CHANNEL_SECONDS))
        return [new_epoch(), now, seconds, forget]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise BrokerUnavailableError(self._resource, reason) from error


def _keys(channel: str) -> list[str]:
    # Quoted, because a brace would be taken for the end of the hash tag.
    tag = f"{_PREFIX}{{{quote(channel, safe='')}}}"
    return [f"{tag}:channel", f"{tag}:events"]


def _live(channel: str) -> str:
    return f"{_PREFIX}{{{quote(channel, safe='')}}}:live"


def _channel_of(name: bytes) -> str | None:
    match = _LIVE.fullmatch(name.decode())
    return None if match is None else unquote(match[1])


def _dump(event: Event) -> str:
    fields = {
        "data": event.data,
        "type": event.type,
        "id": event.id,
        "retry": event.retry_ms,
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None})


def _load(channel: str, epoch: str, offset: bytes, now: bytes, event: bytes) -> Entry:
    fields = json.loads(event)
    return Entry(
        channel,
        Position(epoch, int(offset)),
        Event(
            fields["data"],
            type=fields.get("type"),
            id=fields.get("id"),
            retry_ms=fields.get("retry"),
        ),
        float(now),
    )
