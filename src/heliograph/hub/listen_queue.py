"""
Channels that the broker is still to be asked to listen to.

Clients choose the names, and leave when they like. So this costs as little as possible: no
task for a channel, no more than some hundred calls to the broker under way, and nothing at
all for a channel that is dropped before its turn. What failed is asked for again, later
each time.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from ..errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..brokers.base import Broker
    from ..channels.position import Position
    from .patience import Patience

__all__ = ["ListenQueue"]

_log = logging.getLogger("heliograph.hub")

# Beyond some hundred calls at a time no broker gets faster, and what waits here can still
# be dropped at no cost.
_AT_ONCE = 256

# Between two tries for a channel; doubled up to the second.
_RETRY_SECONDS = 0.1
_RETRY_SECONDS_AT_MOST = 5.0

# What is called later must not keep the request in which a channel was first asked for.
_NO_CONTEXT = contextvars.Context()


class ListenQueue:
    """
    Asks a broker to listen to channels, in the order in which they were added.

    Args:
        broker: Is asked.
        patience: Is told whether it could.
        on_listening: Called with a channel's name and the position after which its entries
            come.
    """

    def __init__(
        self,
        broker: Broker,
        patience: Patience,
        on_listening: Callable[[str, Position], None],
    ) -> None:
        self._broker = broker
        self._patience = patience
        self._on_listening = on_listening
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[Position]] = {}
        # Channels for which it has failed: for how long to wait after the next failure.
        self._delays: dict[str, float] = {}
        self._retries: dict[str, asyncio.TimerHandle] = {}

    def add(self, name: str) -> None:
        """
        Ask for a channel when its turn comes.

        Args:
            name: A valid name that is not in the queue.
        """
        self._waiting[name] = None
        self._go_on()

    def drop(self, name: str) -> bool:
        """
        Take a channel out of the queue. If the broker has been asked, it undoes that.

        Args:
            name: Any channel.

        Returns:
            Whether the broker does not listen to it.
        """
        was_waiting = name in self._waiting
        self._waiting.pop(name, None)
        call, retry = self._under_way.pop(name, None), self._retries.pop(name, None)
        # It may have just been done.
        was_cancelled = call is not None and call.cancel()
        if retry is not None:
            retry.cancel()
        self._forget_failure(name)
        self._go_on()
        return was_waiting or was_cancelled or retry is not None

    def close(self) -> None:
        """Ask for nothing more."""
        self._waiting.clear()
        for name in (*self._under_way, *self._retries):
            self.drop(name)

    def _go_on(self) -> None:
        while self._waiting and len(self._under_way) < _AT_ONCE:
            name, _ = self._waiting.popitem(last=False)
            call = self._broker.listen(name)
            if not isinstance(call, asyncio.Future):
                call = asyncio.create_task(call, context=contextvars.Context())
            self._under_way[name] = call
            call.add_done_callback(partial(self._on_done, name), context=_NO_CONTEXT)

    def _on_done(self, name: str, call: asyncio.Future[Position]) -> None:
        error = None if call.cancelled() else call.exception()
        if self._under_way.get(name) is not call:
            return  # dropped; perhaps added anew
        del self._under_way[name]
        if call.cancelled():
            error = BrokerUnavailableError(self._broker.resource, "closed")
        if error is None:
            self._forget_failure(name)
            self._patience.on_success("listen")
            self._on_listening(name, call.result())
        else:
            if not isinstance(error, BrokerUnavailableError):
                _log.error("cannot listen to %r, trying again", name, exc_info=error)
            self._patience.on_failure("listen", str(error))
            self._retry_later(name)
        self._go_on()

    def _retry_later(self, name: str) -> None:
        delay = self._delays.get(name, _RETRY_SECONDS)
        self._delays[name] = min(2 * delay, _RETRY_SECONDS_AT_MOST)
        spread = random.uniform(0.5, 1.5)  # noqa: S311 - spreads load
        self._retries[name] = asyncio.get_running_loop().call_later(
            delay * spread, self._retry, name, context=_NO_CONTEXT
        )

    def _retry(self, name: str) -> None:
        del self._retries[name]
        self.add(name)

    def _forget_failure(self, name: str) -> None:
        if self._delays.pop(name, None) is not None and not self._delays:
            # Nobody asks for it any more.
            self._patience.on_success("listen")
