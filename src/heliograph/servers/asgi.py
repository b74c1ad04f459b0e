"""A client's connection, as far as ASGI servers let it be seen."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..hub.sinks import tune_descriptor
from .stopping import worker_stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import HubConfig

__all__ = ["Flow", "tell_unknown"]

_log = logging.getLogger("heliograph.servers")


class Flow:
    """
    A response on its way, where ``send`` waits until the client has taken most of it.

    Args:
        receive: As the application was given it.

    Attributes:
        stopping: Says whether the server wants to stop, where it tells nobody and waits;
            else :obj:`None`.
    """

    stopping: Callable[[], bool] | None = None

    def __init__(self, receive: Any) -> None:
        # With uvicorn and gunicorn it is a method of something that knows.
        owner = getattr(receive, "__self__", None)
        protocol = getattr(owner, "protocol", None)
        self._transport = _transport_of(owner, protocol)
        self.stopping = worker_stopping(getattr(protocol, "worker", None))

    def tune(self, config: HubConfig) -> None:
        """
        Make the connection prompt, bounded, and aware of a peer that has died.

        Args:
            config: See :func:`~heliograph.hub.sinks.tune_socket`.
        """
        connection = self._connection()
        # uvloop's object for it has no options. What is closed has no number.
        if connection is not None and connection.fileno() >= 0:
            tune_descriptor(connection.fileno(), config)

    async def drained(self) -> None:
        """Wait until the client has taken most of what it was sent, or has left."""

    def release(self) -> None:
        """Leave the response to the server, so that it can be ended."""

    async def abort(self) -> None:
        """
        End the connection of a response that is given up.

        A server closes it when its application returns, but not before the client has
        taken what was written.
        """
        if self._transport is not None:
            self._transport.abort()

    def _connection(self) -> Any:
        """Give something with the connection's descriptor, if it is known."""
        return self._transport and self._transport.get_extra_info("socket")


def _transport_of(*holders: Any) -> Any:
    # Not in HTTP/2: a connection is of several responses then, and not to be ended for one.
    for holder in holders:
        transport = getattr(holder, "transport", None)
        if hasattr(transport, "get_extra_info") and hasattr(transport, "abort"):
            return transport
    return None


# Servers about which one line has been logged, which is enough.
_told: set[str] = set()


def tell_unknown(server: str, consequence: str, reason: str) -> None:
    """
    Log, once, that a server is not as it was seen to be.

    Args:
        server: Its name.
        consequence: What that costs.
        reason: What was found.
    """
    if server not in _told:
        _told.add(server)
        _log.warning("this %s is not known: %s (%s)", server, consequence, reason)
