"""
Calls of scripts that are made at the same time, sent together on one connection.

While an answer is awaited more calls pile up, and are sent together as the next batch: so
under load the batches grow, not the number of round trips, and one connection is enough.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from redis.exceptions import NoScriptError, RedisError

from .availability import is_of_wrong_server
from .replicas import NotPrimaryError
from .subscription import connection_errors
from .tasks import cancel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from .replicas import Replicas
    from .scripts import Reply, Request

__all__ = ["Pipe"]

# Calls sent together: answers to reads are held in memory until all have arrived.
_BATCH = 100

# How long calls that have begun may take after the pipe was told to close.
_CLOSE_SECONDS = 2.0


class _Waiting(NamedTuple):
    request: Request
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
        results = await self._execute(batch)
        unknown = [n for n, one in enumerate(results) if isinstance(one, NoScriptError)]
        if unknown:
            # Redis has restarted, or was told to forget scripts. These were not done.
            for script in {batch[n].request.script for n in unknown}:
                await self.client.script_load(script.source)
            again = await self._execute([batch[n] for n in unknown])
            for n, result in zip(unknown, again, strict=True):
                results[n] = result
        if any(_is_of_no_primary(result) for result in results):
            # Sentinel is asked for another with the next connection.
            await self.client.connection_pool.disconnect()
        for waiting, result in zip(batch, results, strict=True):
            if waiting.future.done():
                continue
            if isinstance(result, Exception):
                waiting.future.set_exception(result)
            else:
                waiting.future.set_result(result)

    async def _execute(self, batch: Sequence[_Waiting]) -> list[Reply]:
        pipeline = self.client.pipeline(transaction=False)
        indexes = []
        for (script, keys, arguments), asking, _ in batch:
            if asking:
                pipeline.execute_command("ASKING")
            indexes.append(len(pipeline))
            pipeline.evalsha(script.sha, len(keys), *keys, *arguments)
        count = len(pipeline)
        if self._replicas is not None:
            self._replicas.ask(pipeline)
        results = await pipeline.execute(raise_on_error=False)
        answers = [results[index] for index in indexes]
        if self._replicas is None or all(isinstance(one, Exception) for one in answers):
            return answers
        try:
            scripts = [one.request.script for one in batch]
            stores = any(script.appends or script.changes for script in scripts)
            await self._replicas.check(self.client, results[count:], stores=stores)
        except (RedisError, OSError) as error:
            return [one if isinstance(one, Exception) else error for one in answers]
        return answers


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.future.done():
            waiting.future.set_exception(error)


def _is_of_no_primary(result: object) -> bool:
    return isinstance(result, NotPrimaryError) or is_of_wrong_server(result)
