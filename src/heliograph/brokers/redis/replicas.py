"""
Which replicas must have an event before its append returns, and whether they have it.

``replicas=N`` asks Redis with ``WAIT``. That does not survive every failover: ``WAIT``
counts any replicas, and another one may be promoted. While Sentinel promotes a replica, the
former primary still accepts events and still has its other replicas.

``replicas=all`` asks for every replica that may be promoted. An append returns only if

- each replica that is connected has everything up to the append, by its own word;
- those are at least as many as Sentinel, or the cluster, would promote, and at least one;
- the server is still the primary, and no failover from it has begun.

The second is asked *after* the event was stored. A replica that was down then, and is
promoted later, connects to the primary first, and gets the event. A replica that is already
promoted is no longer connected, so that one is missing.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from redis.asyncio import Redis

    from .scripts import Reply

__all__ = ["AllReplicas", "Command", "NotPrimaryError", "ReplicaCount", "Replicas"]

Command: TypeAlias = tuple[str | int, ...]
"""The words of a command."""

_INFO: Command = ("INFO", "replication")

# A replica that has said nothing for so long hangs: it counts only if Sentinel or the
# cluster still holds it for one that may be promoted.
_SILENT_SECONDS = 10

# How often those that may be promoted are asked for, while some do not have an event.
_ASK_AGAIN_SECONDS = 0.5

# Replicas that have everything, and fewer than are needed: they may be more at once.
_PAUSE_SECONDS = 0.02


class NotPrimaryError(RedisError):
    """A server is no longer the primary, or will soon be none."""


class Replicas(Protocol):
    """What is asked about replicas after calls that write, on the same connection."""

    def questions(self) -> Sequence[Command]:
        """Return the commands that follow calls."""
        ...

    async def check(self, client: Redis, answers: Sequence[Reply], *, stores: bool) -> None:
        """
        Return if enough replicas have what the calls have written.

        Args:
            client: Of the connection on which the calls were made.
            answers: To the commands of :meth:`questions`.
            stores: Whether the calls have stored events. What only shows events that
                replicas have may rely on the replicas of the time before.

        Raises:
            RedisError: Too few have them, or the server is not the primary.
            OSError: It is not known.
        """
        ...


class ReplicaCount(Replicas):
    """
    Any replicas, so many of them.

    Args:
        count: How many; at least 1.
        timeout_seconds: How long they may take.
    """

    def __init__(self, count: int, timeout_seconds: float) -> None:
        self._count = count
        self._timeout_ms = int(timeout_seconds * 1000)

    def questions(self) -> Sequence[Command]:
        """Wait for the replicas."""
        return [("WAIT", self._count, self._timeout_ms)]

    async def check(
        self,
        client: Redis,  # noqa: ARG002 - others need it
        answers: Sequence[Reply],
        *,
        stores: bool,  # noqa: ARG002 - others need it
    ) -> None:
        """Return if so many have it."""
        (found,) = answers
        if isinstance(found, Exception):
            raise found
        if found < self._count:
            raise _too_few(found, self._count)


class AllReplicas(Replicas):
    """
    Each replica that may be promoted.

    Args:
        count_promotable: Returns how many replicas may be promoted instead of the server
            that a client is connected to. It raises :class:`NotPrimaryError` if that is not
            the primary.
        timeout_seconds: How long they may take.
    """

    def __init__(
        self, count_promotable: Callable[[Redis], Awaitable[int]], timeout_seconds: float
    ) -> None:
        self._count_promotable = count_promotable
        self._timeout_seconds = timeout_seconds
        # As many as there were the last time: those that wait for fewer wait once more.
        self._expected = 1

    def questions(self) -> Sequence[Command]:
        """Ask for the offset of the primary, wait for replicas, and ask for theirs."""
        return [_INFO, *self._wait(self._expected, self._timeout_seconds)]

    async def check(self, client: Redis, answers: Sequence[Reply], *, stores: bool) -> None:
        """Return if each of them has it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_seconds
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        parse = client.response_callbacks["INFO"]
        written, now = (_State.parse(parse(one)) for one in (answers[0], answers[-1]))
        promotable = self._expected
        while True:
            if stores:
                promotable = await self._count_promotable(client)
            if not now.is_primary or now.history != written.history:
                raise NotPrimaryError("it is no longer the primary")
            needed = max(promotable, len(now.offsets), 1)
            found = sum(offset >= written.offset for offset in now.offsets)
            if found >= needed:
                self._expected = needed
                return
            left = deadline - loop.time()
            if left <= 0:
                raise _too_few(found, needed)
            stores = True
            # WAIT returns at once if those that it knows have all that this connection has
            # written; then others are missing, or another connection has written since.
            await asyncio.sleep(_PAUSE_SECONDS)
            pipeline = client.pipeline(transaction=False)
            for question in self._wait(needed, left):
                pipeline.execute_command(*question)
            now = _State.parse((await pipeline.execute())[-1])

    @staticmethod
    def _wait(count: int, seconds: float) -> Sequence[Command]:
        milliseconds = max(int(min(seconds, _ASK_AGAIN_SECONDS) * 1000), 1)
        return [("WAIT", count, milliseconds), _INFO]


class _State(NamedTuple):
    """
    The replication of a server.

    Args:
        is_primary: Whether it is a primary.
        history: Identifies the data that offsets belong to. It changes when the server
            restarts or changes its role.
        offset: Of what was written last.
        offsets: Up to where each connected replica has everything.
    """

    is_primary: bool
    history: str
    offset: int
    offsets: Sequence[int]

    @staticmethod
    def parse(info: Reply) -> _State:
        # The driver has read the lines, and `slave0` to `slaveN` within.
        replicas = [one for name, one in info.items() if re.fullmatch(r"slave\d+", name)]
        return _State(
            is_primary=info["role"] == "master",
            history=str(info["master_replid"]),
            offset=int(info["master_repl_offset"]),
            offsets=[
                int(one["offset"])
                for one in replicas
                if one["state"] == "online" and int(one["lag"]) <= _SILENT_SECONDS
            ],
        )


def _too_few(found: int, needed: int) -> RedisError:
    return RedisError(f"only {found} of {needed} replicas have it in time")
