"""Run scripts on the servers that have the channels, and are current."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from redis.exceptions import RedisError

from ...errors import BrokerUnavailableError
from ..epoch import new_epoch
from .availability import (
    is_of_wrong_server,
    is_worth_repeating,
    unavailable,
    unavailable_errors,
)
from .calls import ALL_KEYS, OWN_KEYS, Caller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..values import RetentionPolicy
    from .address import Address
    from .calls import Call
    from .scripts import Reply
    from .seen import Seen
    from .topology import Topology

__all__ = ["Execution"]

_Result = TypeVar("_Result")

# How often a server is looked up while answers contradict what is known.
_LOOKS = 2

# Channels of which it is remembered that they have further keys. For one that is forgotten
# the next call is made twice.
_MAX_CHANNELS = 10_000


class Execution:
    """
    Runs scripts, for one process.

    Args:
        address: Where Redis is.
        topology: The servers.
        retention: How much is kept of each channel.
        clock: Returns seconds since the epoch of Unix; :obj:`None` for Redis's own clock,
            which is the same for all machines.
    """

    def __init__(
        self,
        address: Address,
        *,
        topology: Topology,
        retention: RetentionPolicy,
        clock: Callable[[], float] | None,
    ) -> None:
        self._address = address
        self._topology = topology
        self._retention = retention
        self._clock = clock
        # Where Redis takes no writes, channels without an event share a life of this name.
        self._unstored_epoch = new_epoch()
        # The key of a channel's row -> how many of its keys are named.
        self._key_counts: dict[str, int] = {}
        self._closed = False

    def close(self) -> None:
        """Refuse further calls. Those that have begun are finished."""
        self._closed = True

    def check_open(self) -> None:
        """
        Raise an error if the broker has been closed.

        Raises:
            BrokerUnavailableError: It has been closed.
        """
        if self._closed:
            raise BrokerUnavailableError(self._address.shown, "the broker has been closed")

    def caller(self, channel: str, seen: Seen | None) -> Caller:
        """
        Return what a script is told about this process.

        Args:
            channel: The channel that the script is called for.
            seen: The last known position in the channel; :obj:`None` for none.
        """
        retention = self._retention.of(channel)
        return Caller(
            now="" if self._clock is None else repr(self._clock()),
            history_seconds=retention.seconds,
            forget_seconds=math.ceil(max(retention.seconds, retention.forget_seconds)),
            unstored_epoch=self._unstored_epoch,
        ).having_seen(seen)

    async def current(
        self,
        call: Call,
        parse: Callable[[Reply], _Result],
        contradicts: Callable[[_Result], bool],
    ) -> _Result:
        """
        Return an answer of a server that is current.

        A former primary knows nothing of what was published after a failover, and answers
        as a server does that has lost it.

        Args:
            call: One that stores nothing.
            parse: Reads its reply.
            contradicts: Returns whether an answer may be that of a former primary.

        Raises:
            BrokerUnavailableError: Redis failed.
        """

        async def ask() -> _Result:
            return parse(await self.twice(lambda: self.call(call)))

        found = await ask()
        if self._address.kind == "server" or not contradicts(found):
            return found
        for _ in range(_LOOKS):
            with unavailable_errors(self._address.shown):
                is_confirmed = await self._topology.confirm(call.keys.row)
            # After the look: what was answered before may be another server's.
            found = await ask()
            if is_confirmed or not contradicts(found):
                return found
        raise BrokerUnavailableError(
            self._address.shown, "a failover is under way: the primary is not known yet"
        )

    async def twice(
        self, function: Callable[[], Awaitable[_Result]], *, undone: bool = False
    ) -> _Result:
        """
        Call a function, and once more if that may succeed on a new connection.

        Args:
            function: What is done, and may be done twice.
            undone: Whether it is called again only if it has certainly not been done.

        Raises:
            BrokerUnavailableError: Redis failed.
        """
        try:
            return await function()
        except BrokerUnavailableError as error:
            cause = error.__cause__
            if not (is_of_wrong_server(cause) if undone else is_worth_repeating(cause)):
                raise
        return await function()

    async def call(self, call: Call) -> Reply:
        """
        Call a script.

        Args:
            call: The script, its keys and arguments.

        Returns:
            The script's reply; :obj:`None` for a channel without a row if the call is not
            for such channels.

        Raises:
            BrokerUnavailableError: Redis failed.
        """
        self.check_open()
        # Keys that most channels do not have are named only for a channel that needs them:
        # each costs time, and while a slot moves, a node of a cluster refuses keys of which
        # it has only some. Where no slot moves, a channel of which nothing was seen may
        # have no row, and is not asked twice.
        row = call.keys.row
        count = max(call.least_keys, self._key_counts.get(row, OWN_KEYS))
        if self._address.kind != "cluster" and not call.caller.seen_epoch:
            count = ALL_KEYS
        while True:
            try:
                reply = await self._topology.call(call.request(count))
            except (RedisError, OSError) as error:
                raise unavailable(self._address.shown, error) from error
            if not isinstance(reply, int):
                return reply
            count = reply
            if count == ALL_KEYS and not call.needs_no_row:
                return None
            if count < ALL_KEYS:
                if len(self._key_counts) >= _MAX_CHANNELS:
                    self._key_counts.clear()
                self._key_counts[row] = count
