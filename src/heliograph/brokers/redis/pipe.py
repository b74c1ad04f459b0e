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
    from .scripts import Reply, Request, Script

__all__ = ["Pipe"]

# Calls sent together: answers to reads are held in memory until all have arrived.
_BATCH = 100

# How long calls that have begun may take after the pipe was told to close.
_CLOSE_SECONDS = 2.0


# Tells a node of a cluster that the next call is for it, although the slot is another's.
_ASKING = pack("ASKING")


class _Waiting(NamedTuple):
    script: Script
    packed: bytes
    asking: bool
    future: asyncio.Future[Reply]


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
        # Encoded here, and not when it is sent: Redis works on other calls meanwhile.
        packed = request.pack()
        self._waiting.append(_Waiting(request.script, packed, asking, future))
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
        unknown = await self._exchange(batch)
        if unknown:
            # Redis has restarted, or was told to forget scripts. These were not done.
            for script in {one.script for one in unknown}:
                await self.client.script_load(script.source)
            for one in await self._exchange(unknown):
                self._resolve(one, RedisError("Redis has forgotten a script again"))

    async def _exchange(self, batch: Sequence[_Waiting]) -> Sequence[_Waiting]:
        """Send calls and hand out the answers; return the calls of unknown scripts."""
        unknown: list[_Waiting] = []
        # Not handed out before replicas have what was written.
        written: list[tuple[_Waiting, Reply]] = []
        questions = () if self._replicas is None else self._replicas.questions()
        pool = self.client.connection_pool
        connection = await pool.get_connection()
        try:
            packed = [_ASKING + one.packed if one.asking else one.packed for one in batch]
            packed += [pack(*question) for question in questions]
            await connection.send_packed_command(b"".join(packed), check_health=False)
            for one in batch:
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

    def _resolve(self, waiting: _Waiting, answer: Reply) -> None:
        if _is_of_no_primary(answer):
            # Sentinel is asked for another with the next connection.
            self._reconnects = True
        if waiting.future.done():
            return  # its caller was cancelled
        if isinstance(answer, Exception):
            waiting.future.set_exception(answer)
        else:
            waiting.future.set_result(answer)


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
