"""
What is wrong with a Redis that answers, said once at the start.

Everything that will be needed is done once, on a channel of no user's. What Redis refuses
then it will go on refusing, so it is a mistake in the configuration. A Redis that cannot
be reached is none: it may come.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from redis.exceptions import (
    AuthenticationError,
    MovedError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from ...errors import ConfigError
from ..epoch import new_epoch
from .scripts import APPEND, FIND, READ

if TYPE_CHECKING:
    from .address import Address
    from .names import Names
    from .topology import Topology

__all__ = ["check"]

# Whoever begins waits for this: no longer than for a Redis that answers.
_CHECK_SECONDS = 3.0

# Nobody can publish to this channel, and its keys are gone after a minute.
_CHANNEL = "\x01heliograph.check"
_FORGET_SECONDS = 60

# Nobody publishes to this one, so reading it needs what all channels have in common.
_NO_ROW = "\x01heliograph.check.none"

# Options that name one.
_FILES = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}

_TOO_OLD = (
    "is too old, is a Sentinel, or a command was taken from it: Redis 5 is needed, in a"
    " cluster Redis 7"
)

# What a server says, in lower case -> what is wrong.
_REFUSALS = {
    "db index is out of range": "there is no such database",
    "invalid db index": "there is no such database",
    "select is not allowed in cluster mode": "a cluster has only the database 0",
    "cluster support disabled": "is no cluster: write redis:// instead of redis+cluster://",
    "don't hash to the same slot": "is a node of a cluster: write redis+cluster:// instead"
    " of redis://",
    "no permissions": "the user lacks a right",
    "the user executing the script can't": "the user lacks a right",
    "unknown command": _TOO_OLD,
    "unknown redis command": _TOO_OLD,
    "wrong number of args calling redis command": _TOO_OLD,
}


async def check(address: Address, topology: Topology, names: Names) -> None:
    """
    Do once what will be needed.

    Args:
        address: Where Redis is.
        topology: Its servers.
        names: Of keys and channels.

    Raises:
        ConfigError: Redis refuses it.
    """
    _check_files(address)
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await _try(address, topology, names)
    except (RedisError, OSError) as error:
        problem = _problem(address, error)
        if problem is not None:
            raise ConfigError([f"{address.shown}: {problem}: {error}"]) from error


def _check_files(address: Address) -> None:
    missing = [
        f"{address.shown}: {name}: there is no file {path!r}"
        for name, path in address.options.items()
        if name in _FILES and not Path(path).is_file()
    ]
    if missing:
        raise ConfigError(missing)


async def _try(address: Address, topology: Topology, names: Names) -> None:
    keys = *names.keys(_CHANNEL), names.common(_CHANNEL)
    none = *names.keys(_NO_ROW), names.common(_NO_ROW)
    epoch = new_epoch()
    begin: list[str | float] = [epoch, "", 1, _FORGET_SECONDS, "", 0, "", "", epoch]
    publish = "SPUBLISH" if address.kind == "cluster" else "PUBLISH"
    live = names.live(_CHANNEL)
    event: list[str | float] = ["{}", 1, publish, live, "-", "", "", "", "", 0, "=id"]
    await topology.check()
    # First, because a short command is refused in clearer words than a long one.
    await (await topology.node(keys[0])).line.probe(live)
    for _ in range(2):
        # The second finds the index of ids that the first has begun.
        await topology.call("append", APPEND, keys, [*begin, *event])
    await topology.call("read", READ, keys, [*begin, "", 0, 1, 1])
    await topology.call("read", FIND, keys, [*begin, "id"])
    await topology.call("read", READ, none, [*begin, "", 0, 1, 1])


def _problem(address: Address, error: BaseException) -> str | None:
    """Say what is wrong for good; nothing if it may pass."""
    if address.tls and (problem := _tls_problem(error)):
        return problem
    if isinstance(error, AuthenticationError):
        return "the user or the password is refused"
    if isinstance(error, MovedError):
        return "is a node of a cluster: write redis+cluster:// instead of redis://"
    if isinstance(error, NoPermissionError):
        return "the user lacks a right"
    text = str(error).lower() if isinstance(error, ResponseError) else ""
    return next((problem for said, problem in _REFUSALS.items() if said in text), None)


def _tls_problem(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ConnectionResetError | ssl.SSLEOFError):
            # With TLS 1.3 a server refuses a client after the handshake, and what it says
            # may be lost with the connection.
            return "TLS fails, perhaps for want of a certificate that the server accepts"
        if isinstance(error, ssl.SSLError):
            return "TLS fails"
        error = error.__cause__ or error.__context__
    return None
