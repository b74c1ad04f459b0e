"""
The queue of channels that the broker is not listening to yet.

Clients choose the names of channels, and leave whenever they like. So a channel in the
queue costs as little as possible: no task of its own, at most some hundred calls to the
broker in progress for all of them, and no call at all for a channel that is dropped before
its turn. A call that failed is repeated, with a longer delay each time.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from ..errors import BrokerUnavailableError
from ..logs import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..brokers.base import Broker
    from ..channels.position import Position
    from ..retry import Availability, Backoff

__all__ = ["ListenQueue"]

_log = Logger("heliograph.hub")

# Beyond some hundred calls at a time no broker gets faster, and a channel that still waits
# here can be dropped at no cost.
_AT_ONCE = 256

# Callbacks and tasks must not keep the context of the request that first asked for a
# channel.
_NO_CONTEXT = contextvars.Context()


class ListenQueue:
    """
    Asks a broker to listen to channels, in the order in which they were added.

    Args:
        broker: Broker whose :meth:`~Broker.listen` is called.
        availability: Records success and failure, under the name ``"listen"``, and supplies
            the delays between tries.
        on_listening: Called with a channel's name and the position after which its entries
            arrive.
    """

    def __init__(
        self,
        broker: Broker,
        availability: Availability,
        on_listening: Callable[[str, Position], None],
    ) -> None:
        self._broker = broker
        self._availability = availability
        self._on_listening = on_listening
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[Position]] = {}
        # One for each channel whose last call failed.
        self._backoffs: dict[str, Backoff] = {}
        self._retries: dict[str, asyncio.TimerHandle] = {}

    def add(self, name: str) -> None:
        """
        Queue a channel. The broker is called when its turn comes.

        Args:
            name: A valid name that is not in the queue.
        """
        self._waiting[name] = None
        self._start_calls()

    def drop(self, name: str) -> bool:
        """
        Remove a channel from the queue. A call to the broker in progress is cancelled.

        Args:
            name: Any channel.

        Returns:
            Whether the broker is not listening to it; if it is, the caller has to call
            :meth:`~Broker.unlisten`.
        """
        was_waiting = name in self._waiting
        self._waiting.pop(name, None)
        call, retry = self._under_way.pop(name, None), self._retries.pop(name, None)
        # cancel() is False for a call that has just succeeded.
        was_cancelled = call is not None and call.cancel()
        if retry is not None:
            retry.cancel()
        self._forget_failure(name)
        self._start_calls()
        return was_waiting or was_cancelled or retry is not None

    def close(self) -> None:
        """Remove all channels. Calls in progress are cancelled."""
        self._waiting.clear()
        for name in (*self._under_way, *self._retries):
            self.drop(name)

    def _start_calls(self) -> None:
        while self._waiting and len(self._under_way) < _AT_ONCE:
            name, _ = self._waiting.popitem(last=False)
            call = self._under_way[name] = self._listen(name)
            call.add_done_callback(partial(self._on_done, name), context=_NO_CONTEXT)

    def _listen(self, name: str) -> asyncio.Future[Position]:
        try:
            call = self._broker.listen(name)
            if isinstance(call, asyncio.Future):
                return call
            return asyncio.create_task(call, context=contextvars.Context())
        except Exception as error:  # noqa: BLE001 - as one that is raised when it is awaited
            failed: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
            failed.set_exception(error)
            return failed

    def _on_done(self, name: str, call: asyncio.Future[Position]) -> None:
        error = None if call.cancelled() else call.exception()
        if self._under_way.get(name) is not call:
            return  # dropped in the meantime, and perhaps added again
        del self._under_way[name]
        try:
            self._conclude(name, call, error)
        finally:
            self._start_calls()

    def _conclude(
        self, name: str, call: asyncio.Future[Position], error: BaseException | None
    ) -> None:
        if call.cancelled():
            error = BrokerUnavailableError(self._broker.resource, "closed")
        if error is None:
            self._forget_failure(name)
            self._availability.on_success("listen")
            self._on_listening(name, call.result())
        else:
            if not isinstance(error, BrokerUnavailableError):
                _log.error("cannot listen to %r, trying again", name, exc_info=error)
            self._availability.on_failure("listen", str(error))
            self._retry_later(name)

    def _retry_later(self, name: str) -> None:
        if name not in self._backoffs:
            self._backoffs[name] = self._availability.new_backoff()
        delay = self._backoffs[name].next_seconds()
        self._retries[name] = asyncio.get_running_loop().call_later(
            delay, self._retry, name, context=_NO_CONTEXT
        )

    def _retry(self, name: str) -> None:
        del self._retries[name]
        self.add(name)

    def _forget_failure(self, name: str) -> None:
        if self._backoffs.pop(name, None) is not None and not self._backoffs:
            # No channel is left whose last call failed.
            self._availability.on_success("listen")
