"""
Scripts that are called at the same time, sent together on one connection.

While an answer is awaited more calls pile up, and go out together as the next batch: so
the rate of round trips stays what the network allows while their size grows, and one
connection is enough.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from .line import cancel
from .subscription import connection_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from .scripts import Script

__all__ = ["Pipe"]

# Calls sent together: answers to reads are held in memory until all have come.
_BATCH = 100

# How long calls that have begun may take once this is to end.
_CLOSE_SECONDS = 2.0


class _Call(NamedTuple):
    script: Script
    keys: Sequence[str]
    arguments: Sequence[str | float]
    asking: bool
    future: asyncio.Future[Any]


class Pipe:
    """
    Calls scripts on one connection.

    Args:
        client: With a pool of its own, of one connection, which does not repeat anything.
        replicas: How many replicas must have what a call has written.
        timeout_seconds: How long they may take.
    """

    def __init__(
        self, client: Redis, *, replicas: int = 0, timeout_seconds: float = 5.0
    ) -> None:
        self._client = client
        self._replicas = replicas
        self._timeout_ms = int(timeout_seconds * 500)
        self._calls: list[_Call] = []
        self._sending: asyncio.Task[None] | None = None

    async def call(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[str | float],
        *,
        asking: bool = False,
    ) -> Any:
        """
        Call a script. Cancelling does not undo it.

        Args:
            script: One of ours.
            keys: That it uses.
            arguments: That it takes.
            asking: Whether the keys may be moving to this node of a cluster.

        Returns:
            What it returns, undecoded.

        Raises:
            RedisError: Redis has refused it, or may or may not have done it.
            OSError: The same.
        """
        future = asyncio.get_running_loop().create_future()
        self._calls.append(_Call(script, keys, arguments, asking, future))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return await future

    async def close(self) -> None:
        """Finish the calls that have begun, if Redis answers, and disconnect."""
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=_CLOSE_SECONDS)
            await cancel(self._sending)
        await self._client.aclose()

    async def _send(self) -> None:
        try:
            while self._calls:
                batch, self._calls = self._calls[:_BATCH], self._calls[_BATCH:]
                try:
                    with connection_errors():
                        await self._send_batch(batch)
                except Exception as error:  # noqa: BLE001 - every caller of the batch gets it
                    _fail(batch, error)
                except asyncio.CancelledError:
                    _fail([*batch, *self._calls], RedisError("closed before it answered"))
                    raise
        finally:
            self._sending = None

    async def _send_batch(self, batch: Sequence[_Call]) -> None:
        results = await self._execute(batch)
        unknown = [n for n, result in enumerate(results) if _is_unknown(result)]
        if unknown:
            # Redis has restarted, or was told to forget scripts. These were not done.
            for script in {batch[n].script for n in unknown}:
                await self._client.script_load(script.source)
            again = await self._execute([batch[n] for n in unknown])
            for n, result in zip(unknown, again, strict=True):
                results[n] = result
        if any(_is_of_no_primary(result) for result in results):
            # Sentinel is asked for another with the next connection.
            await self._client.connection_pool.disconnect()
        for call, result in zip(batch, results, strict=True):
            if call.future.done():
                continue
            if isinstance(result, Exception):
                call.future.set_exception(result)
            else:
                call.future.set_result(result)

    async def _execute(self, batch: Sequence[_Call]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        places = []
        for script, keys, arguments, asking, _ in batch:
            if asking:
                pipeline.execute_command("ASKING")
            places.append(len(pipeline))
            pipeline.evalsha(script.sha, len(keys), *keys, *arguments)
        if self._replicas:
            pipeline.execute_command("WAIT", self._replicas, self._timeout_ms)
        results = await pipeline.execute(raise_on_error=False)
        if self._replicas:
            self._check_replicas(results)
        return [results[place] for place in places]

    def _check_replicas(self, results: list[Any]) -> None:
        found = results[-1]
        if isinstance(found, Exception):
            error = found
        elif found >= self._replicas:
            return
        else:
            error = RedisError(f"only {found} of {self._replicas} replicas have it in time")
        for n, result in enumerate(results):
            if not isinstance(result, Exception):
                results[n] = error


def _fail(calls: Sequence[_Call], error: Exception) -> None:
    for call in calls:
        if not call.future.done():
            call.future.set_exception(error)


def _is_unknown(result: object) -> bool:
    return isinstance(result, NoScriptError)


def _is_of_no_primary(result: object) -> bool:
    # Old servers say it within an error of the script.
    return isinstance(result, ReadOnlyError) or (
        isinstance(result, ResponseError)
        and any(word in str(result) for word in ("READONLY", "NOREPLICAS"))
    )
