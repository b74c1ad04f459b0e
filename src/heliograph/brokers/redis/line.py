"""
The one connection on which a process listens to a server.

Pub/sub forgets what it cannot deliver. So whoever uses a line is told whenever the
subscription to a channel of Redis begins, the first time and after each new connection,
and reads from storage what came before that.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, RedisError

from .subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis

__all__ = ["Line", "LineEvents", "cancel", "reason_of"]

_log = logging.getLogger("heliograph.brokers.redis")

# A listener may have many feeds to append to; it is given so many messages in one step.
_MESSAGES_BETWEEN_YIELDS = 16

# Silence after which Redis is asked whether it is still there; and again, before the
# connection is given up.
_SILENCE_SECONDS = 5.0

_RETRY_SECONDS = 0.1
_RETRY_SECONDS_AT_MOST = 5.0

# A connection that has lasted so long was none that Redis cuts at once.
_LASTING_SECONDS = 2.0

# Names subscribed to with one command.
_NAMES_AT_ONCE = 500


class LineEvents(Protocol):
    """Who is told what happens on a line."""

    def on_subscribed(self, name: str) -> None:
        """
        Take note that messages come from now on.

        Args:
            name: A channel of Redis.
        """
        ...

    def on_message(self, name: str, data: bytes) -> None:
        """
        Take a message.

        Args:
            name: A channel of Redis.
            data: The message.
        """
        ...

    def on_up(self, line: Line) -> None:
        """
        Take note that a line is connected.

        Args:
            line: Which.
        """
        ...

    def on_moved(self) -> None:
        """Take note that channels may be on other servers now."""
        ...

    def on_down(self, line: Line, reason: str) -> None:
        """
        Take note that a line is not connected; called again with each failed try.

        Args:
            line: Which.
            reason: Why.
        """
        ...


class Line:
    """
    A connection that listens, made anew until it is closed.

    Args:
        client: Whose pool makes connections that do not repeat anything.
        alive: A channel of Redis that nobody publishes on: with it the connection is one
            that listens even if nothing else is listened to.
        events: Told what happens.
        sharded: Whether names are channels of a shard of a cluster.
        is_current: Whether the server that this connection leads to is the right one.
    """

    def __init__(
        self,
        client: Redis,
        alive: str,
        events: LineEvents,
        *,
        sharded: bool,
        is_current: Callable[[str, int], Awaitable[bool]],
    ) -> None:
        self._client = client
        self._alive = alive
        self._events = events
        self._sharded = sharded
        self._is_current = is_current
        # Name -> whether it is a plain channel, one that is not ours. In the order in which
        # they are subscribed to.
        self._names: dict[str, bool] = {}
        # So that who is removed and added again ends up added.
        self._commands = asyncio.Lock()
        # Subscribed to and not confirmed, in the order in which Redis was asked.
        self._asked: deque[str] = deque()
        # Of a shard, and told to end.
        self._leaving: set[str] = set()
        self._subscription: Subscription | None = None
        self._checking: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The channels of Redis that are listened to, or will be once it is connected."""
        return tuple(self._names)

    async def add(self, names: dict[str, bool]) -> None:
        """
        Listen to some channels of Redis, as soon as the line is connected.

        Args:
            names: For each, whether it is plain: not a channel of a shard.
        """
        self._names |= names
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        async with self._commands:
            if self._subscription is not None:
                await self._or_anew(self._subscription, self._subscribe, names)

    async def remove(self, names: tuple[str, ...]) -> None:
        """
        Stop that. Messages under way may still come.

        Args:
            names: Listened to or not.
        """
        gone = {name: self._names.pop(name) for name in names if name in self._names}
        async with self._commands:
            if self._subscription is not None:
                await self._or_anew(self._subscription, self._unsubscribe, gone)

    async def probe(self, name: str) -> None:
        """
        Try whether the line will work, before anything is listened to.

        Args:
            name: A channel of Redis that nobody publishes on.

        Raises:
            RedisError: Redis refuses it.
            OSError: Redis cannot be reached.
        """
        subscription = self._new_subscription()
        try:
            await subscription.connect()
            await subscription.send("SUBSCRIBE", self._alive)
            await subscription.send(self._prefixed("SUBSCRIBE"), name)
            await subscription.send(self._prefixed("UNSUBSCRIBE"), name)
            await subscription.send("PING")
            kind = b""
            while kind != b"pong":
                message = await subscription.receive(_SILENCE_SECONDS)
                if message is None:
                    raise TimeoutError("Redis does not answer")
                kind = message[0]
        finally:
            await subscription.close()

    async def close(self) -> None:
        """Disconnect, for good."""
        await cancel(self._task)
        await cancel(self._checking)

    def _new_subscription(self) -> Subscription:
        pool = self._client.connection_pool
        return Subscription(pool.make_connection())  # type: ignore[no-untyped-call]

    def _prefixed(self, command: str) -> str:
        return f"S{command}" if self._sharded else command

    async def _or_anew(
        self,
        subscription: Subscription,
        send: Callable[[Subscription, dict[str, bool]], Awaitable[None]],
        names: dict[str, bool],
    ) -> None:
        try:
            await send(subscription, names)
        except Exception as error:  # noqa: BLE001 - the driver's are many where a connection ends
            # It is made anew, with the names that are wanted then.
            _log.debug("cannot tell Redis what to listen to: %r", error)
            await subscription.close()

    async def _run(self) -> None:
        delay = _RETRY_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            subscription = self._new_subscription()
            try:
                await subscription.connect()
                await subscription.send("SUBSCRIBE", self._alive)
                async with self._commands:
                    self._leaving.clear()
                    self._asked.clear()
                    self._subscription = subscription
                    await self._subscribe(subscription, dict(self._names))
                await self._receive(subscription)
            except (RedisError, OSError) as error:
                reason = reason_of(error)
            except Exception as error:  # noqa: BLE001 - logged; the reason follows
                # The boundary of a task: without this the process would be deaf.
                _log.exception("cannot listen, connecting anew")
                reason = repr(error)
            finally:
                self._subscription = None
                await subscription.close()
            if not self._names:
                # Nobody misses it.
                self._task = None
                self._events.on_up(self)
                return
            self._events.on_down(self, reason)
            if loop.time() - began > _LASTING_SECONDS:
                delay = _RETRY_SECONDS
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load
            delay = min(2 * delay, _RETRY_SECONDS_AT_MOST)

    async def _subscribe(self, subscription: Subscription, names: dict[str, bool]) -> None:
        ours = [name for name, plain in names.items() if not plain]
        # In a cluster names of one command have to be of one slot.
        at_once = 1 if self._sharded else _NAMES_AT_ONCE
        for first in range(0, len(ours), at_once):
            some = ours[first : first + at_once]
            self._asked += some
            await subscription.send(self._prefixed("SUBSCRIBE"), *some)
        for name, plain in names.items():
            if plain:
                # Each on its own: it may be refused without harm to the others.
                self._asked.append(name)
                await subscription.send("SUBSCRIBE", name)

    async def _unsubscribe(
        self, subscription: Subscription, names: dict[str, bool]
    ) -> None:
        for name, plain in names.items():
            if name in self._names:
                continue  # wanted again
            if plain:
                await subscription.send("UNSUBSCRIBE", name)
            else:
                self._leaving.add(name)
                await subscription.send(self._prefixed("UNSUBSCRIBE"), name)

    async def _receive(self, subscription: Subscription) -> None:
        asked = False
        received = 0
        while True:
            received += 1
            if received % _MESSAGES_BETWEEN_YIELDS == 0:
                # What has come in a burst is there without waiting.
                await asyncio.sleep(0)
            try:
                message = await subscription.receive(_SILENCE_SECONDS)
            except NoPermissionError as error:
                self._on_refused(error)
                continue
            if message is not None:
                asked = False
                self._on_message(message)
            elif asked:
                raise TimeoutError("Redis no longer answers")
            else:
                asked = True
                self._check_server(subscription)
                await subscription.send("PING")

    def _check_server(self, subscription: Subscription) -> None:
        """Ask whether it is the right one, without keeping messages waiting."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._end_if_wrong(subscription))

    async def _end_if_wrong(self, subscription: Subscription) -> None:
        if not await self._is_current(*subscription.place):
            _log.info("%s:%d is no longer the primary", *subscription.place)
            await subscription.close()

    def _on_refused(self, error: NoPermissionError) -> None:
        if not self._asked or not self._names.get(self._asked[0], False):
            raise error
        name = self._asked.popleft()
        del self._names[name]
        _log.warning("plain channel %r is not listened to: %s", name, error)

    def _on_message(self, message: list[Any]) -> None:
        kind, name = message[0], _text(message[1])
        if kind in {b"message", b"smessage"}:
            self._events.on_message(name, message[2])
        elif kind in {b"subscribe", b"ssubscribe"}:
            if name == self._alive:
                self._events.on_up(self)
                return
            if self._asked and self._asked[0] == name:
                self._asked.popleft()
            if name in self._names:
                self._events.on_subscribed(name)
        elif kind == b"sunsubscribe":
            if name not in self._leaving:
                # Nobody has asked for it: the slot has moved to another node.
                raise RedisConnectionError("a slot has moved")
            self._leaving.discard(name)


async def cancel(task: asyncio.Task[None] | None) -> None:
    """
    Cancel a task, and wait for its end.

    Args:
        task: One that never swallows a cancellation by itself.
    """
    while task is not None and not task.done():
        # More than once: a cancellation that reaches redis-py 8.1 in the middle of a
        # command may be lost there.
        task.cancel()
        await asyncio.wait({task}, timeout=_RETRY_SECONDS)


def reason_of(error: Exception) -> str:
    """
    Give the words of an error, for people.

    Args:
        error: From the driver.
    """
    if isinstance(error, MasterNotFoundError):
        # What each Sentinel has said follows, with the driver's objects in between.
        return str(error).partition(" : ")[0]
    return str(error) or type(error).__name__


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
