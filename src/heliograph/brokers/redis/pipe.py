"""
Calls of scripts that are made at the same time, sent together on one connection.

While an answer is awaited more calls pile up, and are sent together as the next batch: so
under load the batches grow, not the number of round trips, and one connection is enough.

The driver's pipelines are not used: encoding a call takes them several times as long, and
they give out no answer before the last one has arrived. Here each caller goes on as soon as
its own answer is there, while Redis works on the others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from redis.exceptions import NoScriptError, RedisError, ResponseError

from .availability import is_of_wrong_server
from .replicas import NotPrimaryError
from .scripts import pack
from .subscription import connection_errors
from .tasks import cancel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

    from .replicas import Replicas
    from .scripts import Reply, Request

__all__ = ["Pipe"]

# Calls sent together. Those that come meanwhile wait for the answers to all of them.
_BATCH = 100

# How long calls that have begun may take after the pipe was told to close.
_CLOSE_SECONDS = 2.0

# Calls that are sent as one. Redis does nothing else meanwhile, and checks only at the
# beginning whether it has memory for them.
_JOINED = 32
_JOINED_LENGTH = 65_536

# Tells a node of a cluster that the next call is for it, although the slot is another's.
_ASKING = pack("ASKING")


class _Waiting(NamedTuple):
    request: Request
    asking: bool
    future: asyncio.Future[Reply]


class _Joined:
    """Waiting calls that are sent as one."""

    def __init__(self, first: _Waiting) -> None:
        self.waiting = [first]
        self.asking = first.asking
        self.script = first.request.script
        self._length = _length(first)

    def join(self, other: _Waiting) -> bool:
        """Add a call, and return true, if it may be joined with these."""
        first, request = self.waiting[0], other.request
        length = self._length + _length(other)
        if (
            not (request.own and first.request.own)
            or request.script is not self.script
            or request.keys != first.request.keys
            or other.asking != self.asking
            or len(self.waiting) >= _JOINED
            or length > _JOINED_LENGTH
        ):
            return False
        self._length = length
        self.waiting.append(other)
        return True

    def pack(self) -> bytes:
        *before, last = (one.request for one in self.waiting)
        packed = last.pack(before)
        return _ASKING + packed if self.asking else packed


class Pipe:
    """
    Calls scripts on one connection.

    Args:
        client: With a pool of its own, of one connection, which repeats nothing.
        replicas: Asked whether they have what a call has written; :obj:`None` for none.

    Attributes:
        client: The same.
    """

    def __init__(self, client: Redis, *, replicas: Replicas | None = None) -> None:
        self.client = client
        self._replicas = replicas
        self._waiting: list[_Waiting] = []
        self._sending: asyncio.Task[None] | None = None
        self._reconnects = False

    def reconnect(self) -> None:
        """Reconnect before the next call, perhaps to another server."""
        self._reconnects = True

    async def call(self, request: Request, *, asking: bool = False) -> Reply:
        """
        Call a script. Cancelling does not undo it.

        Args:
            request: The script, its keys and its arguments.
            asking: Whether the keys' slot is being moved to this node of a cluster.

        Returns:
            The script's reply.

        Raises:
            RedisError: Redis has refused the call, or may or may not have done it.
            OSError: The same.
        """
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(request, asking, future))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return await future

    async def close(self) -> None:
        """Finish the calls that have begun, if Redis answers, and disconnect."""
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=_CLOSE_SECONDS)
            await cancel(self._sending)
        await self.client.aclose()

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                try:
                    with connection_errors():
                        await self._send_batch(batch)
                except Exception as error:  # noqa: BLE001 - every caller of the batch gets it
                    _fail(batch, error)
                except asyncio.CancelledError:
                    closed = RedisError("closed before it answered")
                    _fail([*batch, *self._waiting], closed)
                    raise
        finally:
            self._sending = None

    async def _send_batch(self, batch: Sequence[_Waiting]) -> None:
        if self._reconnects:
            self._reconnects = False
            await self.client.connection_pool.disconnect()
        unknown = await self._exchange(_join(batch))
        if unknown:
            # Redis has restarted, or was told to forget scripts. These were not done.
            for script in {one.script for one in unknown}:
                await self.client.script_load(script.source)
            for one in await self._exchange(unknown):
                self._resolve(one, RedisError("Redis has forgotten a script again"))

    async def _exchange(self, calls: Sequence[_Joined]) -> Sequence[_Joined]:
        """Send calls and hand out the answers; return the calls of unknown scripts."""
        unknown: list[_Joined] = []
        # Not handed out before replicas have what was written.
        written: list[tuple[_Joined, Reply]] = []
        questions = () if self._replicas is None else self._replicas.questions()
        pool = self.client.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            packed = [one.pack() for one in calls]
            packed += [pack(*question) for question in questions]
            await connection.send_packed_command(b"".join(packed), check_health=False)
            for one in calls:
                if one.asking:
                    await _answer(connection)
                answer = await _answer(connection)
                if isinstance(answer, NoScriptError):
                    unknown.append(one)
                elif self._replicas is None or isinstance(answer, Exception):
                    self._resolve(one, answer)
                else:
                    written.append((one, answer))
            found = [await _answer(connection) for _ in questions]
        finally:
            await pool.release(connection)
        if self._replicas is not None and written:
            scripts = [one.script for one, _ in written]
            stores = any(script.appends or script.changes for script in scripts)
            try:
                await self._replicas.check(self.client, found, stores=stores)
            except (RedisError, OSError) as error:
                written = [(one, error) for one, _ in written]
            for one, answer in written:
                self._resolve(one, answer)
        return unknown

    def _resolve(self, call: _Joined, answer: Reply) -> None:
        if isinstance(answer, Exception):
            _fail(call.waiting, answer)
            if _is_of_no_primary(answer):
                # Sentinel is asked for another with the next connection.
                self._reconnects = True
            return
        for n, one in enumerate(call.waiting):
            if not one.future.done():
                one.future.set_result(one.request.own_reply(answer, n) if n else answer)


def _join(batch: Sequence[_Waiting]) -> Sequence[_Joined]:
    """Join calls where that may be done; those for one channel stay in their order."""
    calls: list[_Joined] = []
    last: dict[str, _Joined] = {}
    for one in batch:
        row = one.request.keys[0]
        if row not in last or not last[row].join(one):
            last[row] = _Joined(one)
            calls.append(last[row])
    return calls


def _length(waiting: _Waiting) -> int:
    return sum(map(len, waiting.request.own))


async def _answer(connection: AbstractConnection) -> Reply:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.future.done():
            waiting.future.set_exception(error)


def _is_of_no_primary(result: object) -> bool:
    return isinstance(result, NotPrimaryError) or is_of_wrong_server(result)
