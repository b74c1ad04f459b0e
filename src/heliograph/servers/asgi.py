"""A client's connection, as far as ASGI servers let it be seen."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from ..hub.sinks import tune_descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config import HubConfig

__all__ = ["Flow", "outermost_of_task", "tell_unknown"]

_log = logging.getLogger("heliograph.servers")


class Flow:
    """
    A response on its way, where ``send`` waits until the client has taken most of it.

    Args:
        receive: As the application was given it.

    """

    def __init__(self, receive: Any) -> None:
        self._transport = _transport_of(receive)

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

    def abort_later(self) -> None:
        """Do that for a response that may be over by now, on the connection's own loop."""
        # One that has been lost cannot be aborted any more.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()

    def _connection(self) -> Any:
        """Give something with the connection's descriptor, if it is known."""
        return self._transport and self._transport.get_extra_info("socket")


def outermost_of_task() -> tuple[str | None, Mapping[str, Any]]:
    """
    Give what the current task began with: something of the server's, in that of a request.

    Returns:
        The module of its coroutine, and the variables of that. :obj:`None` and nothing if
        there is no task.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None, {}
    coroutine = None if task is None else task.get_coro()
    frame = getattr(coroutine, "cr_frame", None)
    return (
        (None, {}) if frame is None else (frame.f_globals.get("__name__"), frame.f_locals)
    )


def _transport_of(receive: Any) -> Any:
    # With uvicorn and gunicorn it is a method of something that knows; not in HTTP/2, where
    # a connection is of several responses, and not to be ended for one.
    owner = getattr(receive, "__self__", None)
    for holder in (owner, getattr(owner, "protocol", None)):
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
