"""
Checks at the start: does Redis let us do what will be needed?

Everything that will be needed is done once, on a channel that no user can name. What Redis
refuses then it will always refuse, so it is a mistake in the configuration. An unreachable
Redis is not a configuration error: it may come up later.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from redis.exceptions import (
    AuthenticationError,
    MovedError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from ...errors import ConfigError
from ..epoch import new_epoch
from .calls import Caller
from .read_calls import Find, Read, ReadRetained, ReadRetainedAs
from .write_calls import Append, Release, Restart, dump_terms

if TYPE_CHECKING:
    from .address import Address
    from .names import Names
    from .topology import Topology

__all__ = ["check", "config_problem"]

# The start waits for the checks; a Redis that answers needs less.
_CHECK_SECONDS = 3.0

# Nobody can publish to this channel, and its keys are gone after a minute.
_CHANNEL = "\x01heliograph.check"
_FORGET_SECONDS = 60

# Nobody publishes to this one, so reading it uses the key of the common life.
_NO_ROW = "\x01heliograph.check.none"

# Options that name a file or a folder -> which of them.
_FILES = {
    "ssl_ca_certs": "file",
    "ssl_certfile": "file",
    "ssl_keyfile": "file",
    "ssl_ca_path": "folder",
}

_PROXY = (
    "is a proxy, such as twemproxy, that answers PING and closes the connection at"
    " SUBSCRIBE: name Redis itself, since Heliograph needs pub/sub and scripts"
)

_TOO_OLD = (
    "is too old, is a Sentinel, or a command was taken from it: Redis 5 is needed, in a"
    " cluster Redis 7"
)

# Part of a server's message, in lower case -> what is wrong.
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
    Do everything once that will be needed.

    Args:
        address: Where Redis is.
        topology: The servers.
        names: Names of keys and pub/sub channels.

    Raises:
        ConfigError: Redis refuses something, or a file that the address names is missing.
    """
    _check_files(address)
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await _try(address, topology, names)
    except (RedisError, OSError) as error:
        problem = config_problem(address, error)
        if problem is None and await _is_behind_proxy(error, topology, names):
            problem = _PROXY
        if problem is not None:
            raise ConfigError([f"{address.shown}: {problem}: {error}"]) from error


def _check_files(address: Address) -> None:
    missing = [
        f"{address.shown}: {name}: there is no {_FILES[name]} {path!r}"
        for name, path in address.options.items()
        if name in _FILES and not _exists(Path(str(path)), _FILES[name])
    ]
    if missing:
        raise ConfigError(missing)


def _exists(path: Path, kind: str) -> bool:
    return path.is_dir() if kind == "folder" else path.is_file()


async def _try(address: Address, topology: Topology, names: Names) -> None:
    keys, live = names.keys(_CHANNEL), names.live(_CHANNEL)
    caller = Caller(
        history_seconds=1, forget_seconds=_FORGET_SECONDS, unstored_epoch=new_epoch()
    )
    append = Append(
        keys=keys,
        caller=caller,
        event="{}",
        max_entries=1,
        publish_command="SPUBLISH" if address.kind == "cluster" else "PUBLISH",
        live_channel=live,
        token="-",  # noqa: S106 - an append's, no secret
        id_field="=id",
        terms=dump_terms(kept_as=b"@key", once_as=b"!one"),
    )
    await topology.check()
    # First, because a short command is refused in clearer words than a long one.
    await (await topology.node(keys.row)).line.probe(live)
    read = Read(keys=keys, caller=caller, max_entries=1, max_bytes=1, listens=True)
    calls = [
        append,
        # This one uses the index of ids that the first has begun, and trims.
        replace(append, terms=dump_terms(kept_as=b"@key", once_as=b"!other")),
        read,
        Find(keys=keys, caller=caller, event_id=b"id"),
        ReadRetained(keys=keys, caller=caller, after="0", max_entries=1, max_bytes=1),
        ReadRetainedAs(keys=keys, caller=caller, kept_as=b"@key"),
        Release(keys=keys, caller=caller, kept_as=b"@key"),
        Restart(keys=keys, caller=caller),
        replace(read, keys=names.keys(_NO_ROW)),
    ]
    for call in calls:
        await topology.call(call.request())


async def _is_behind_proxy(error: Exception, topology: Topology, names: Names) -> bool:
    """Return whether PING is answered where other commands close the connection, twice."""
    if not isinstance(error, RedisConnectionError):
        return False
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            line = (await topology.node(names.keys(_CHANNEL).row)).line
            await line.ping()
            with contextlib.suppress(RedisConnectionError):
                await line.probe(names.live(_CHANNEL))
                return False
            await line.ping()
    except (RedisError, OSError):
        return False  # it is away, or about to be
    return True


def config_problem(address: Address, error: BaseException) -> str | None:
    """
    Return what is wrong with the configuration; :obj:`None` if the error may pass.

    Args:
        address: Where Redis is.
        error: What the driver has raised.
    """
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
            # With TLS 1.3 a server refuses a client after the handshake, and its message
            # may be lost with the connection.
            return "TLS fails, perhaps for want of a certificate that the server accepts"
        if isinstance(error, ssl.SSLError):
            return "TLS fails"
        error = error.__cause__ or error.__context__
    return None
