"""Connections that somebody else owns, by their descriptors, and the options of sockets."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import socket
from typing import TYPE_CHECKING

from ... import native

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...config import HubConfig

__all__ = [
    "CLIENT_LEFT",
    "borrowed",
    "can_see_clients",
    "client_has_left",
    "duplicate",
    "end_for_all",
    "identity_of",
    "tune_descriptor",
    "tune_socket",
]

# What Linux takes for a connection.
_MAX_KEEPALIVE_SECONDS = 32_767

# What poll() says of a client that has closed its half, where there is such a thing.
CLIENT_LEFT = getattr(select, "POLLRDHUP", 0)


def can_see_clients() -> bool:
    """Return whether a thread that waits can be told when a client closes its half."""
    # What gevent and eventlet put there looks for what can be read or written only.
    return bool(CLIENT_LEFT) and not (native.gevent() or native.eventlet())


def client_has_left(number: int) -> bool:
    """
    Return whether a client has closed its half of a connection, without waiting.

    Args:
        number: The connection's descriptor.

    Returns:
        False where ``poll`` does not tell.
    """
    if not CLIENT_LEFT:
        return False
    # Greenlets are not kept waiting: this does not wait.
    poll = native.original("select", "poll")()
    # Not POLLIN: bytes of a pipelined request say nothing.
    poll.register(number, CLIENT_LEFT)
    return bool(poll.poll(0))


def tune_socket(connection: socket.socket, config: HubConfig) -> None:
    """
    Make a client's connection prompt, bounded, and aware of a peer that has died.

    Args:
        connection: A stream socket of any family.
        config: Gives ``send_buffer_bytes`` and ``dead_peer_seconds``.
    """
    if config.send_buffer_bytes is not None:
        # Linux doubles the number for its own bookkeeping.
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, config.send_buffer_bytes // 2
        )
    if connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    for level, option, value in _tcp_options(config.dead_peer_seconds):
        connection.setsockopt(level, option, value)


@functools.lru_cache(maxsize=8)
def _tcp_options(dead_peer_seconds: float) -> tuple[tuple[int, int, int], ...]:
    # A dead peer shows in two ways: what was sent is not acknowledged, or, while
    # nothing is sent, probes are not answered. Each option covers one of them. Since
    # Linux 5.11 the first is also for a peer that has no room for what is to be sent.
    seconds = dead_peer_seconds
    options = {
        "TCP_NODELAY": 1,
        "TCP_USER_TIMEOUT": int(seconds * 1000),
        "TCP_KEEPIDLE": min(max(1, int(seconds / 2)), _MAX_KEEPALIVE_SECONDS),
        "TCP_KEEPINTVL": min(max(1, int(seconds / 6)), _MAX_KEEPALIVE_SECONDS),
        "TCP_KEEPCNT": 3,
    }
    return (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *(
            (socket.IPPROTO_TCP, getattr(socket, name), value)
            for name, value in options.items()
            if hasattr(socket, name)
        ),
    )


def tune_descriptor(number: int, config: HubConfig) -> None:
    """
    Do what :func:`tune_socket` does for a connection that somebody else has.

    Args:
        number: Its descriptor. The options are of the connection, so they can be set
            through a copy.
        config: Gives ``send_buffer_bytes`` and ``dead_peer_seconds``.
    """
    # A client that has gone already is noticed by whoever serves it.
    with contextlib.suppress(OSError), borrowed(number) as connection:
        tune_socket(connection, config)


def duplicate(number: int, family: int | None = None) -> socket.socket:
    """
    Return a socket of one's own for a connection that somebody else has.

    Args:
        number: Its descriptor.
        family: Of its address, if that is known: the kernel is not asked then.

    Raises:
        OSError: It is not open or no socket any more, or there are no descriptors left.
    """
    copy = os.dup(number)
    try:
        return _socket_of(copy, family)
    except BaseException:
        os.close(copy)
        raise


def end_for_all(number: int) -> None:
    """
    End a connection for all who have a descriptor of it.

    Closing one is not enough: a forked child may have a copy, and the client would wait for
    as long as the child lives.

    Args:
        number: The connection's descriptor.
    """
    # Any family does.
    with contextlib.suppress(OSError), borrowed(number, socket.AF_UNIX) as connection:
        connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def borrowed(number: int, family: int | None = None) -> Iterator[socket.socket]:
    """
    Yield a socket of a descriptor that somebody else has, for a moment.

    Args:
        number: The descriptor.
        family: As for :func:`duplicate`.
    """
    connection = _socket_of(number, family)
    try:
        yield connection
    finally:
        # Not closed: it is the owner's.
        connection.detach()


def _socket_of(number: int, family: int | None = None) -> socket.socket:
    # A default time-out would make it one that does not block, for its owner as well.
    blocks = None if socket.getdefaulttimeout() is None else os.get_blocking(number)
    # The original: what replaces it belongs to the loop of the thread that made it.
    kind = native.original("socket", "socket")
    # What is not given here is asked of the kernel, with a call each.
    known = () if family is None else (family, socket.SOCK_STREAM, 0)
    connection: socket.socket = kind(*known, fileno=number)
    if blocks is not None:
        os.set_blocking(number, blocks)
    return connection


def identity_of(number: int) -> int | None:
    """
    Return what no other open connection of the machine has.

    Args:
        number: A descriptor.

    Returns:
        :obj:`None` if it is not open.
    """
    try:
        return os.fstat(number).st_ino
    except OSError:
        return None
