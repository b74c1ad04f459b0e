"""
The one connection on which a process listens to a server.

Pub/sub forgets what it cannot deliver. So whoever uses a line is told whenever the
subscription to a channel of Redis begins, the first time and after each new connection,
and reads from storage what came before that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import TYPE_CHECKING, Any, Protocol

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

__all__ = ["Line", "LineEvents", "cancel"]

_log = logging.getLogger("heliograph.brokers.redis")

# Silence after which Redis is asked whether it is still there; and again, before the
# connection is given up.
_SILENCE_SECONDS = 5.0

_RETRY_SECONDS = 0.1
_RETRY_SECONDS_AT_MOST = 5.0

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
        client: With a pool of its own, of one connection, which does not repeat anything.
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
        # Of a shard, and told to end.
        self._leaving: set[str] = set()
        self._pubsub: PubSub | None = None
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
            if self._pubsub is not None:
                # If it fails the connection is made anew, with these names.
                with contextlib.suppress(RedisError, OSError):
                    await self._subscribe(self._pubsub, names)

    async def remove(self, names: tuple[str, ...]) -> None:
        """
        Stop that. Messages under way may still come.

        Args:
            names: Listened to or not.
        """
        gone = {name: self._names.pop(name) for name in names if name in self._names}
        async with self._commands:
            if self._pubsub is not None:
                with contextlib.suppress(RedisError, OSError):
                    await self._unsubscribe(self._pubsub, gone)

    async def _unsubscribe(self, pubsub: PubSub, names: dict[str, bool]) -> None:
        for name, plain in names.items():
            if name in self._names:
                continue  # wanted again
            if self._sharded and not plain:
                self._leaving.add(name)
                await pubsub.sunsubscribe(name)
            else:
                await pubsub.unsubscribe(name)

    async def probe(self, name: str) -> None:
        """
        Try whether the line will work, before anything is listened to.

        Args:
            name: A channel of Redis that nobody publishes on.

        Raises:
            RedisError: Redis refuses it.
            OSError: Redis cannot be reached.
        """
        async with self._client.pubsub() as pubsub:
            await pubsub.subscribe(self._alive)
            await (pubsub.ssubscribe if self._sharded else pubsub.subscribe)(name)
            confirmed = 0
            while confirmed < 2:  # noqa: PLR2004 - the two above
                message = await pubsub.get_message(timeout=_SILENCE_SECONDS)
                if message is None:
                    raise TimeoutError("Redis does not answer")
                confirmed += message["type"] in {"subscribe", "ssubscribe"}

    async def close(self) -> None:
        """Disconnect, for good."""
        await cancel(self._task)
        await self._client.aclose()

    async def _run(self) -> None:
        delay = _RETRY_SECONDS
        while True:
            reason = "the connection was closed"
            try:
                async with self._client.pubsub() as pubsub:
                    self._leaving.clear()
                    await pubsub.subscribe(self._alive)
                    async with self._commands:
                        self._pubsub = pubsub
                        await self._subscribe(pubsub, dict(self._names))
                    delay = _RETRY_SECONDS
                    await self._receive(pubsub)
            except (RedisError, OSError) as error:
                reason = str(error) or type(error).__name__
            except Exception as error:  # noqa: BLE001 - logged; the reason follows
                # The boundary of a task: without this the process would be deaf.
                _log.exception("cannot listen, connecting anew")
                reason = repr(error)
            finally:
                self._pubsub = None
            self._events.on_down(self, reason)
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load
            delay = min(2 * delay, _RETRY_SECONDS_AT_MOST)

    async def _subscribe(self, pubsub: PubSub, names: dict[str, bool]) -> None:
        ordered = list(names)
        for first in range(0, len(ordered), _NAMES_AT_ONCE):
            some = ordered[first : first + _NAMES_AT_ONCE]
            if not self._sharded:
                await pubsub.subscribe(*some)
                continue
            # A slot may be in one command only once it is known that all are of one.
            for name in some:
                if names[name]:
                    await pubsub.subscribe(name)
                else:
                    await pubsub.ssubscribe(name)

    async def _receive(self, pubsub: PubSub) -> None:
        asked = False
        while True:
            message = await pubsub.get_message(timeout=_SILENCE_SECONDS)
            if message is not None:
                asked = False
                self._on_message(message)
            elif asked:
                raise TimeoutError("Redis no longer answers")
            else:
                asked = True
                await self._check_server(pubsub)
                await pubsub.ping()

    async def _check_server(self, pubsub: PubSub) -> None:
        connection = pubsub.connection
        host, port = getattr(connection, "host", ""), getattr(connection, "port", 0)
        if not await self._is_current(host, port):
            raise RedisConnectionError(f"{host}:{port} is no longer the primary")

    def _on_message(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind in {"message", "smessage"}:
            self._events.on_message(_text(message["channel"]), message["data"])
        elif kind in {"subscribe", "ssubscribe"}:
            name = _text(message["channel"])
            if name == self._alive:
                self._events.on_up(self)
            elif name in self._names:
                self._events.on_subscribed(name)
        elif kind == "sunsubscribe":
            name = _text(message["channel"])
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


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
