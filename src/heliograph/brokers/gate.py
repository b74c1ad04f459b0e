"""
Bounds how many calls are under way at a time.

:class:`asyncio.Semaphore` would do, but for one thing: giving up while waiting takes time
that grows with the number of those who wait, and whoever asks for many channels and leaves
at once makes many wait and give up.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Gate"]


class Gate:
    """
    An asynchronous context manager that so many tasks may be in at a time.

    The others wait in the order in which they came. Cancelling one that waits takes it out
    of the queue.

    Args:
        at_once: How many may be in. At least 1.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    async def __aenter__(self) -> None:
        """Wait for a turn."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        try:
            await turn
        except BaseException:
            self._waiting.pop(turn, None)
            if turn.done() and not turn.cancelled():
                # It was this one's turn in that very moment.
                self._next()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave, so that the next one may enter."""
        self._next()

    def _next(self) -> None:
        while self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
