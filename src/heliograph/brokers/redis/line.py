"""
The one connection on which a process listens to a server.

Pub/sub forgets what it cannot deliver. So whoever uses a line is told each time that the
subscription to a pub/sub channel begins, the first time and after each reconnect, and then
reads from storage what was published before that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NoReturn

from redis.exceptions import AskError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from ...logs import Logger
from ...retry import Backoff
from .availability import reason_of
from .subscription import Subscription, connection_errors
from .tasks import cancel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis

    from .line_events import LineEvents
    from .subscription import Message

__all__ = ["Line"]

_log = Logger("heliograph.brokers.redis")

# A listener may have many feeds to append to; it is given so many messages in one step.
_MESSAGES_BETWEEN_YIELDS = 16

# A connection that lasted so long was not one that Redis closes at once.
_LASTING_SECONDS = 2.0

# The longest nominal delay between two questions whether a server answers scripts.
_ASK_AGAIN_SECONDS = 0.5

# Names subscribed to with one command.
_NAMES_AT_ONCE = 500


class Line:
    """
    A connection that listens, and reconnects until it is closed.

    Args:
        client: Whose pool makes connections that repeat nothing.
        alive: A pub/sub channel on which nobody publishes: subscribing to it puts the
            connection into subscriber mode even if nothing else is listened to.
        events: Told what happens.
        sharded: Whether names are pub/sub channels of a shard of a cluster.
        is_current: Returns whether the server at a host and port is still the right one.
        ask: Runs a script on the server, with a name of the line as its key.
        silence_seconds: Silence after which Redis is asked whether it is still there; and
            the time that its answer may take.
    """

    def __init__(
        self,
        client: Redis,
        alive: str,
        events: LineEvents,
        *,
        sharded: bool,
        is_current: Callable[[str, int], Awaitable[bool]],
        ask: Callable[[str], Awaitable[object]],
        silence_seconds: float,
    ) -> None:
        self._client = client
        self._alive = alive
        self._events = events
        self._sharded = sharded
        self._is_current = is_current
        self._ask = ask
        self._silence_seconds = silence_seconds
        # Name -> whether it is a plain channel, one that is not ours. In the order in which
        # they are subscribed to.
        self._names: dict[str, bool] = {}
        # Held while commands are sent, so that a name that is removed and added again ends
        # up subscribed to.
        self._commands = asyncio.Lock()
        # Subscribed to and not confirmed, in the order in which Redis was asked.
        self._asked: deque[str] = deque()
        # Names of a shard that Redis was told to unsubscribe.
        self._leaving: set[str] = set()
        self._subscription: Subscription | None = None
        # Messages of all connections, and when the last one arrived, by the loop's clock.
        self._heard, self._heard_at = 0, 0.0
        self._reading: asyncio.Task[NoReturn] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The pub/sub channels listened to, now or once the line is connected."""
        return tuple(self._names)

    async def add(self, names: dict[str, bool]) -> None:
        """
        Listen to some pub/sub channels, as soon as the line is connected.

        Args:
            names: For each, whether it is plain: not a channel of a shard.
        """
        self._names |= names
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        async with self._commands:
            subscription = self._subscription
            if subscription is not None:
                sending = self._subscribe(subscription, names)
                await self._send_or_close(subscription, sending)

    async def remove(self, names: tuple[str, ...]) -> None:
        """
        Stop listening to some pub/sub channels. Messages under way may still arrive.

        Args:
            names: Listened to or not.
        """
        gone = {name: self._names.pop(name) for name in names if name in self._names}
        async with self._commands:
            subscription = self._subscription
            if subscription is not None:
                sending = self._unsubscribe(subscription, gone)
                await self._send_or_close(subscription, sending)

    async def probe(self, name: str) -> None:
        """
        Try whether the line will work, before anything is listened to.

        Args:
            name: A pub/sub channel on which nobody publishes.

        Raises:
            RedisError: Redis refuses it.
            OSError: Redis cannot be reached.
        """
        subscription = self._new_subscription()
        try:
            await subscription.connect()
            await self._begin(subscription)
            await subscription.send(self._prefixed("SUBSCRIBE"), name)
            await subscription.send(self._prefixed("UNSUBSCRIBE"), name)
            await subscription.send("PING")
            kind = ""
            while kind != "pong":
                kind = (await self._answer(subscription)).kind
        finally:
            await subscription.close()

    async def ping(self) -> None:
        """
        Send the simplest of all commands, on a connection that does not listen.

        Raises:
            RedisError: Redis refuses it.
            OSError: Redis cannot be reached.
        """
        with connection_errors():
            await self._client.ping()
            await self._client.connection_pool.disconnect()

    def check_server(self) -> None:
        """Reconnect if the server that the line is connected to is not the right one."""
        # In a task of its own: messages must not wait for it.
        if self._subscription is not None and (
            self._checking is None or self._checking.done()
        ):
            self._checking = asyncio.create_task(self._close_if_wrong(self._subscription))

    async def close(self) -> None:
        """Disconnect, for good."""
        await cancel(self._task)
        await cancel(self._checking)

    def _new_subscription(self) -> Subscription:
        pool = self._client.connection_pool
        return Subscription(pool.make_connection())  # type: ignore[no-untyped-call]

    def _prefixed(self, command: str) -> str:
        return f"S{command}" if self._sharded else command

    async def _send_or_close(
        self, subscription: Subscription, sending: Awaitable[None]
    ) -> None:
        try:
            await sending
        except Exception as error:  # noqa: BLE001 - the driver's are many where a connection ends
            # Reading ends, too, and the next connection subscribes to what is wanted then.
            _log.debug("cannot send to Redis: %r", error)
            await subscription.close()

    async def _run(self) -> None:
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            subscription = self._new_subscription()
            try:
                reason = await self._listen(subscription)
            except asyncio.CancelledError:
                await self._leave(subscription)
                raise
            # Not in a `finally`: the garbage collector ends the coroutines of a loop that
            # was dropped, and nothing can be awaited there.
            await self._leave(subscription)
            if not self._names:
                # Nobody needs the connection until a name is added.
                self._task = None
                self._events.on_up(self)
                return
            self._events.on_down(self, reason)
            if loop.time() - began > _LASTING_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next_seconds())

    async def _listen(self, subscription: Subscription) -> str:
        """Listen on a new connection until it ends; return why it did."""
        try:
            await subscription.connect()
            self._on_message(await self._begin(subscription))
            async with self._commands:
                self._leaving.clear()
                self._asked.clear()
                self._subscription = subscription
                await self._subscribe(subscription, dict(self._names))
            await self._stay(subscription)
        except (RedisError, OSError) as error:
            return reason_of(error)
        except Exception as error:  # noqa: BLE001 - logged; the reason follows
            # The boundary of a task: without this the process would no longer listen.
            _log.exception("cannot listen, reconnecting")
            return repr(error)

    async def _begin(self, subscription: Subscription) -> Message:
        """Put a new connection into subscriber mode; return the answer."""
        # Awaited before anything follows: what a server says that closes the connection,
        # having too many clients, is lost with a write that fails.
        await subscription.send("SUBSCRIBE", self._alive)
        return await self._answer(subscription)

    async def _answer(self, subscription: Subscription) -> Message:
        try:
            async with asyncio.timeout(self._silence_seconds):
                return await subscription.receive()
        except TimeoutError as error:
            raise TimeoutError("Redis does not answer") from error

    async def _leave(self, subscription: Subscription) -> None:
        self._subscription = None
        await subscription.close()
        reading, self._reading = self._reading, None
        await cancel(reading)
        if reading is not None and not reading.cancelled():
            # Whoever closes the line is not told why the connection has ended meanwhile.
            reading.exception()
        await cancel(self._asking)

    async def _until_answered(self) -> None:
        """
        Report that the line is up once the server answers a script.

        A server that loads its data accepts subscriptions and refuses everything else.
        """
        backoff = Backoff(longest_seconds=_ASK_AGAIN_SECONDS)
        while name := next((one for one, plain in self._names.items() if not plain), ""):
            try:
                await self._ask(name)
            except AskError:
                break  # it answers that the slot moves, or has moved
            except (RedisError, OSError) as error:
                self._events.on_down(self, reason_of(error))
            else:
                break
            await asyncio.sleep(backoff.next_seconds())
        self._events.on_up(self)

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
                # Each on its own: Redis may refuse one and accept the others.
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

    async def _stay(self, subscription: Subscription) -> NoReturn:
        """Read, and end if Redis sends nothing and does not answer either."""
        loop = asyncio.get_running_loop()
        # When the silence began, or was last asked about.
        began, is_asked, heard = loop.time(), False, self._heard
        self._reading = asyncio.create_task(self._read(subscription))
        while True:
            timeout = began + self._silence_seconds - loop.time()
            await asyncio.wait({self._reading}, timeout=timeout)
            if self._reading.done():
                self._reading.result()  # raises: reading does not end by itself
            if self._heard != heard:
                began, is_asked, heard = self._heard_at, False, self._heard
            elif is_asked:
                raise TimeoutError("Redis no longer answers")
            else:
                self.check_server()
                await self._send_or_close(subscription, subscription.send("PING"))
                began, is_asked = loop.time(), True

    async def _read(self, subscription: Subscription) -> NoReturn:
        loop = asyncio.get_running_loop()
        while True:
            try:
                message = await subscription.receive()
            except NoPermissionError as error:
                self._on_refused(error)
                continue
            self._heard += 1
            self._heard_at = loop.time()
            self._on_message(message)
            if self._heard % _MESSAGES_BETWEEN_YIELDS == 0:
                # Messages of a burst are read without waiting.
                await asyncio.sleep(0)

    async def _close_if_wrong(self, subscription: Subscription) -> None:
        if not await self._is_current(*subscription.endpoint):
            _log.info("%s:%d is no longer the primary", *subscription.endpoint)
            await subscription.close()

    def _on_refused(self, error: NoPermissionError) -> None:
        if not self._asked or not self._names.get(self._asked[0], False):
            raise error
        name = self._asked.popleft()
        del self._names[name]
        _log.warning("plain channel %r is not listened to: %s", name, error)

    def _on_message(self, message: Message) -> None:
        name = message.name
        if message.kind in {"message", "smessage"}:
            self._events.on_message(name, message.data)
        elif message.kind in {"subscribe", "ssubscribe"}:
            if name == self._alive:
                # In a task of its own: messages must not wait for it.
                self._asking = asyncio.create_task(self._until_answered())
                return
            if self._asked and self._asked[0] == name:
                self._asked.popleft()
            if name in self._names:
                self._events.on_subscribed(name)
        elif message.kind == "sunsubscribe":
            if name not in self._leaving:
                # Nobody has asked for it: the slot has moved to another node.
                raise RedisConnectionError("a slot has moved")
            self._leaving.discard(name)
