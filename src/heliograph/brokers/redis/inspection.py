"""
Inspect a Redis that others use, and change nothing. See :mod:`..inspection`.

No script is called: those of the broker repair what they find, and Redis does nothing else
while a script runs. Only commands that read are sent, each of which is short: ``SCAN`` for
the names, and for each channel some whose cost does not depend on its history.

Connections are their own, one to each primary, so that a broker that is open is not
delayed. A replica is not asked: it may lack what was published last.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from redis.crc import key_slot
from redis.exceptions import AskError, RedisError, ResponseError, TryAgainError

from ...channels.names import is_internal
from ...errors import BrokerUnavailableError, ConfigError
from ..inspection import Inspection
from .availability import reason_of
from .check import config_problem
from .cluster import parse_slots
from .node import direct_client, new_sentinel, sentinel_client, socket_client
from .subscription import connection_errors
from .summaries import entries_of, load_hash, offset_of, summary_of
from .values import DAMAGED, load_row

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence

    from redis.asyncio import Redis

    from ...channels.entry import Entry
    from ..inspection import ChannelSummary
    from ..once import OnceLog
    from .address import Address
    from .names import Names
    from .scripts import Reply
    from .summaries import Row

__all__ = ["inspecting"]

# Keys that Redis looks at for one SCAN, which takes a third of a millisecond.
_KEYS_AT_ONCE = 250

# Names that are found, sorted, and each returned once, before their channels are asked for.
_NAMES_AT_ONCE = 10_000

# Channels whose commands are sent together.
_CHANNELS_AT_ONCE = 100

# Entries that are read at once: their data may be large.
_ENTRIES_AT_ONCE = 16

_SLOTS = 16_384

# Commands that a server may refuse, as one for several customers: what they tell is unknown
# then.
_NOT_NEEDED = {"MEMORY", "PUBSUB"}


@asynccontextmanager
async def inspecting(
    address: Address, names: Names, once: OnceLog
) -> AsyncIterator[Inspection]:
    """
    Inspect a Redis.

    Args:
        address: Where it is.
        names: Names of keys and pub/sub channels.
        once: Logs what was skipped.

    Raises:
        ConfigError: Redis refuses to be read, and would do so again.
        BrokerUnavailableError: It cannot be reached.
    """
    async with AsyncExitStack() as stack:
        with _errors(address):
            servers = await _connect(address, stack)
        yield _RedisInspection(address, servers, names, once)


@contextmanager
def _errors(address: Address) -> Iterator[None]:
    try:
        with connection_errors():
            yield
    except (RedisError, OSError) as error:
        problem = config_problem(address, error)
        if problem is None:
            raise BrokerUnavailableError(address.shown, reason_of(error)) from error
        raise ConfigError([f"{address.shown}: {problem}: {error}"]) from error


class _Servers(NamedTuple):
    """
    The primaries.

    Args:
        clients: One of each.
        owners: Slot -> the client of its primary; nothing if there is only one primary.
    """

    clients: Sequence[Redis]
    owners: Mapping[int, Redis]

    def of(self, key: str) -> Redis:
        return self.owners[key_slot(key.encode())] if self.owners else self.clients[0]


async def _connect(address: Address, stack: AsyncExitStack) -> _Servers:
    if address.kind == "cluster":
        servers = await _connect_cluster(address, stack)
    else:
        if address.kind == "sentinel":
            sentinel = new_sentinel(address)
            stack.push_async_callback(sentinel.aclose)
            client = sentinel_client(address, sentinel)
        elif address.path is not None:
            client = socket_client(address)
        else:
            client = direct_client(address, *address.hosts[0])
        stack.push_async_callback(client.aclose)
        servers = _Servers([client], {})
        await _check_alone(address, client)
    for client in servers.clients:
        await client.ping()
        # From Redis 7.2 on, keys that are read do not count as used: otherwise those that
        # nobody uses would not be the first that Redis evicts.
        with suppress(ResponseError):
            await _ask(client, "CLIENT", "NO-TOUCH", "ON")
    return servers


async def _connect_cluster(address: Address, stack: AsyncExitStack) -> _Servers:
    failure: Exception = RedisError("no node is known")
    for host, port in address.hosts:
        seed = direct_client(address, host, port)
        try:
            owners, _ = parse_slots(await _ask(seed, "CLUSTER", "SLOTS"), host)
        except (RedisError, OSError) as error:
            failure = error
            continue
        finally:
            await seed.aclose()
        if len(owners) < _SLOTS:
            missing = _SLOTS - len(owners)
            raise RedisError(f"{missing} of its {_SLOTS} slots are on no node")
        clients = {one: direct_client(address, *one) for one in set(owners.values())}
        for client in clients.values():
            stack.push_async_callback(client.aclose)
        return _Servers(
            list(clients.values()), {slot: clients[one] for slot, one in owners.items()}
        )
    raise failure


async def _check_alone(address: Address, client: Redis) -> None:
    """Raise if the server is a node of a cluster, of which it would list a part only."""
    try:
        found = await client.info("cluster")
    except ResponseError:
        return  # without that right nobody can tell
    if found.get("cluster_enabled"):
        problem = "is a node of a cluster: write redis+cluster:// instead of redis://"
        raise ConfigError([f"{address.shown}: {problem}"])


async def _ask(client: Redis, *command: str | int) -> Reply:
    return await client.execute_command(*command)  # type: ignore[no-untyped-call]


class _RedisInspection(Inspection):
    def __init__(
        self, address: Address, servers: _Servers, names: Names, once: OnceLog
    ) -> None:
        self._address = address
        self._servers = servers
        self._names = names
        self._once = once

    async def channels(self, prefix: str = "") -> AsyncGenerator[ChannelSummary, None]:
        async for found in self._find(prefix):
            names = sorted(found)
            for start in range(0, len(names), _CHANNELS_AT_ONCE):
                some = names[start : start + _CHANNELS_AT_ONCE]
                # On the server where a name was found, also while its slot moves.
                by_client: dict[Redis, list[str]] = {}
                for name in some:
                    by_client.setdefault(found[name], []).append(name)
                summaries: dict[str, ChannelSummary] = {}
                for client, theirs in by_client.items():
                    summaries |= await self._summaries(client, theirs)
                for name in some:
                    if name in summaries:
                        yield summaries[name]

    async def channel(self, name: str) -> ChannelSummary | None:
        client = self._servers.of(self._names.keys(name).row)
        return (await self._summaries(client, [name])).get(name)

    async def newest(self, name: str, limit: int) -> Sequence[Entry]:
        client = self._servers.of(self._names.keys(name).row)
        row = (await self._rows(client, [name])).get(name)
        entries: list[Entry] = []
        last = 0 if row is None else row.shown
        while row is not None and last and limit:
            count = min(limit, _ENTRIES_AT_ONCE)
            command = ("XREVRANGE", row.keys.events, last, 1, "COUNT", count)
            (page,) = await self._send(client, [command])
            for stored in entries_of(page):
                try:
                    entries.append(load_row(name, row.head.epoch, stored).entry)
                except DAMAGED as error:
                    detail = f"the first is {stored[0]!r}: {error}"
                    self._once.skipped(name, "damaged entries", detail)
            if not page or len(page) < count:
                break
            limit -= count
            last = offset_of(page[-1]) - 1
        return entries[::-1]

    async def processes(self) -> int | None:
        # Each that listens to something has a connection that listens to this, too. Who
        # publishes listens to the commands of other processes.
        counts = [
            (await self._send(client, [("PUBSUB", "NUMSUB", self._names.alive)]))[0]
            for client in self._servers.clients
        ]
        return max((int(one[1]) for one in counts if one is not None), default=None)

    async def _find(self, prefix: str) -> AsyncGenerator[dict[str, Redis], None]:
        """Yield the names of channels, many at once, with the servers that have them."""
        pattern = self._names.rows(prefix)
        found: dict[str, Redis] = {}
        for client in self._servers.clients:
            cursor = 0
            while True:
                command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _KEYS_AT_ONCE)
                (page,) = await self._send(client, [command])
                cursor, keys = page
                names = (self._names.channel(key) for key in keys)
                found |= {
                    name: client
                    for name in names
                    if name and name.startswith(prefix) and not is_internal(name)
                }
                if len(found) >= _NAMES_AT_ONCE:
                    yield found
                    found = {}
                if not int(cursor):
                    break
        yield found

    async def _rows(self, client: Redis, names: Sequence[str]) -> dict[str, Row]:
        """Return what the hashes of channels say, without those that say nothing."""
        all_keys = [self._names.keys(name) for name in names]
        fields = ("epoch", "head", "shown", "state")
        answers = await self._send(
            client, [("HMGET", one.row, *fields) for one in all_keys]
        )
        rows = {}
        for name, keys, values in zip(names, all_keys, answers, strict=True):
            if values is None:
                self._once.skipped(name, "its damaged row", "the key is no hash")
                continue
            if values[0] is values[1] is None:
                continue  # forgotten meanwhile
            try:
                row = load_hash(keys, *values)
            except DAMAGED as error:
                self._once.skipped(name, "its damaged row", str(error))
                continue
            # A first event that was refused leaves a row.
            if row.head.offset:
                rows[name] = row
        return rows

    async def _summaries(
        self, client: Redis, names: Sequence[str]
    ) -> dict[str, ChannelSummary]:
        rows = await self._rows(client, names)
        if not rows:
            return {}
        asked: list[tuple[str | int, ...]] = []
        for row in rows.values():
            keys = row.keys
            asked += [
                ("XLEN", keys.events),
                ("XRANGE", keys.events, 1, row.head.offset, "COUNT", 1),
                ("ZCOUNT", keys.keys, "(0", "+inf"),
                # The keys that the channel has.
                *(("MEMORY", "USAGE", key) for key in keys[: 2 + row.extra]),
            ]
        count = "SHARDNUMSUB" if self._address.kind == "cluster" else "NUMSUB"
        live = [self._names.live(name) for name in rows]
        asked.append(("PUBSUB", count, *live))
        *answers, numbers = await self._send(client, asked)
        listeners = [None] * len(rows) if numbers is None else numbers[1::2]
        each = iter(answers)
        return {
            name: summary_of(
                name,
                row,
                held=next(each) or 0,
                oldest=entries_of(next(each)),
                retained=next(each) or 0,
                sizes=[next(each) for _ in row.keys[: 2 + row.extra]],
                listeners=None if number is None else int(number),
            )
            for (name, row), number in zip(rows.items(), listeners, strict=True)
        }

    async def _send(
        self, client: Redis, commands: Sequence[tuple[str | int, ...]]
    ) -> list[Reply]:
        """
        Send commands together, and return their answers.

        The answer is :obj:`None` where somebody else has put something of another type, and
        where Redis refuses a command that is not needed.
        """
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        with _errors(self._address):
            answers: list[Reply] = await pipeline.execute(raise_on_error=False)
            for n, (command, answer) in enumerate(zip(commands, answers, strict=True)):
                if not isinstance(answer, RedisError):
                    continue
                if isinstance(answer, AskError | TryAgainError):
                    raise RedisError(
                        f"the cluster is being rearranged; try again later: {answer}"
                    )
                is_refused = isinstance(answer, ResponseError)
                if not is_refused or not (
                    command[0] in _NOT_NEEDED or "WRONGTYPE" in str(answer)
                ):
                    raise answer
                answers[n] = None
        return answers
