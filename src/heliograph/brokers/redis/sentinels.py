"""What Sentinels say of a primary: whether it is the one, and who may be promoted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from .replicas import NotPrimaryError
from .subscription import connection_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from .scripts import Reply

__all__ = ["Sentinels", "majority"]

_Server: TypeAlias = tuple[str, int]

# How long a Sentinel that did not answer is not asked again.
_AWAY_SECONDS = 5.0

# Of the flags of a replica: it is not promoted.
_DOWN = {"s_down", "o_down", "disconnected"}


def majority(count: int) -> int:
    """
    Return how many are the majority.

    Args:
        count: Of how many.
    """
    return count // 2 + 1


class Sentinels:
    """
    The Sentinels of a service, all of which are asked.

    One is not enough: the others may have promoted another server behind its back. And the
    one that carries out a failover knows of it first.

    Args:
        service: The name that the Sentinels give the service.
        clients: One for each Sentinel.
    """

    def __init__(self, service: str, clients: Sequence[Redis]) -> None:
        self._service = service
        self._clients = clients
        self._away_until = dict.fromkeys(range(len(clients)), 0.0)

    async def count_promotable(self, host: str, port: int) -> int:
        """
        Return how many replicas may be promoted instead of a primary.

        Args:
            host: The primary's host, as the Sentinels write it.
            port: Its port.

        Raises:
            NotPrimaryError: It is not the primary, or a failover has begun.
            RedisError: Too few Sentinels can be asked to know it.
            OSError: The same.
        """
        answers, failures = await self._answers(with_replicas=True)
        known = max((one.sentinels for one in answers), default=len(self._clients))
        agreeing = _agreeing(answers, failures, (host, port), majority(known))
        return len(frozenset[_Server]().union(*(one.promotable for one in agreeing)))

    async def is_primary(self, host: str, port: int) -> bool:
        """
        Return whether most of the Sentinels that are asked name a server as the primary.

        Args:
            host: Its host, as the Sentinels write it.
            port: Its port.

        Returns:
            False also if a Sentinel is about to promote a replica instead.

        Raises:
            RedisError: Too few Sentinels can be asked to know it.
            OSError: The same.
        """
        answers, failures = await self._answers(with_replicas=False)
        try:
            _agreeing(answers, failures, (host, port), majority(len(self._clients)))
        except NotPrimaryError:
            return False
        return True

    async def _answers(
        self, *, with_replicas: bool
    ) -> tuple[list[_Answer], list[Exception]]:
        loop = asyncio.get_running_loop()
        asked = [n for n, until in self._away_until.items() if until <= loop.time()]
        found = await asyncio.gather(
            *(self._ask(self._clients[n], with_replicas=with_replicas) for n in asked)
        )
        answers: list[_Answer] = []
        failures: list[Exception] = []
        for n, answer in zip(asked, found, strict=True):
            if isinstance(answer, Exception):
                self._away_until[n] = loop.time() + _AWAY_SECONDS
                failures.append(answer)
            else:
                answers.append(answer)
        return answers, failures

    async def close(self) -> None:
        """Disconnect from all of them."""
        await asyncio.gather(*(client.aclose() for client in self._clients))

    async def _ask(self, client: Redis, *, with_replicas: bool) -> _Answer | Exception:
        pipeline = client.pipeline(transaction=False)
        if with_replicas:
            pipeline.execute_command("SENTINEL", "MASTER", self._service)
            pipeline.execute_command("SENTINEL", "REPLICAS", self._service)
        else:
            # Not MASTER, for which only ``replicas=all`` needs a permission.
            pipeline.execute_command("SENTINEL", "MASTERS")
        try:
            with connection_errors():
                answers = await pipeline.execute()
        except (RedisError, OSError) as error:
            return error
        if with_replicas:
            return _Answer.parse(_fields(answers[0]), answers[1])
        for primary in map(_fields, answers[0]):
            if primary["name"] == self._service:
                return _Answer.parse(primary)
        return RedisError(f"a Sentinel does not know the service {self._service}")


class _Answer(NamedTuple):
    """
    What a Sentinel says.

    Args:
        primary: Host and port of the primary.
        epoch: Of its configuration: the highest is the latest.
        is_leaving: Whether the Sentinel promotes a replica instead of that primary. The
            Sentinel names the new one only once all replicas follow it.
        sentinels: How many watch the service, as far as the Sentinel knows.
        promotable: Host and port of each replica that the Sentinel may promote.
    """

    primary: _Server
    epoch: int
    is_leaving: bool
    sentinels: int
    promotable: frozenset[_Server]

    @staticmethod
    def parse(primary: dict[str, str], replicas: Reply = ()) -> _Answer:
        return _Answer(
            primary=(primary["ip"], int(primary["port"])),
            epoch=int(primary["config-epoch"]),
            is_leaving="failover_in_progress" in primary["flags"].split(","),
            sentinels=1 + int(primary["num-other-sentinels"]),
            promotable=frozenset(
                (one["ip"], int(one["port"]))
                for one in map(_fields, replicas)
                if not _DOWN & set(one["flags"].split(","))
                # One that is not connected is behind those that are, so another one is
                # promoted. A former primary that does not know it yet is such a one.
                and one["master-link-status"] == "ok"
            ),
        )


def _fields(reply: Reply) -> dict[str, str]:
    return dict(zip(reply[::2], reply[1::2], strict=True))


def _agreeing(
    answers: Sequence[_Answer],
    failures: Sequence[Exception],
    server: _Server,
    needed: int,
) -> Sequence[_Answer]:
    """Return the answers that name a server as the primary, if they are enough."""
    if any(one.is_leaving and one.primary == server for one in answers):
        raise NotPrimaryError("a Sentinel promotes a replica instead of it")
    # Those that are left are done, or have not begun.
    settled = [one for one in answers if not one.is_leaving]
    newest = max((one.epoch for one in settled), default=0)
    for one in settled:
        if one.epoch == newest and one.primary != server:
            raise NotPrimaryError(f"the primary is {one.primary[0]}:{one.primary[1]} now")
    agreeing = [one for one in settled if one.primary == server]
    if len(agreeing) < needed:
        for failure in failures:
            if isinstance(failure, AuthenticationError | NoPermissionError):
                raise failure
        reason = f": {failures[0]}" if failures else ""
        raise RedisError(
            f"only {len(agreeing)} of {needed} Sentinels say that it is the primary{reason}"
        )
    return agreeing
