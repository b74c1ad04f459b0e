"""
Appends that wait for the thread that writes.

Those that arrive while a commit is under way make up the next batch, so the rate of commits
stays what the disk can do while their size grows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ...channels.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ...event import Event
    from ..values import Terms
    from .batch import Append, Outcome

__all__ = ["Appends"]


class Appends:
    """
    A queue of appends.

    Args:
        store: Stores some of them in one transaction, and returns the outcome of each.
    """

    def __init__(
        self, store: Callable[[Sequence[Append]], Awaitable[Sequence[Outcome]]]
    ) -> None:
        self._store = store
        self._pending: list[tuple[Append, asyncio.Future[Entry]]] = []
        self._storing: asyncio.Task[None] | None = None

    def add(self, channel: str, event: Event, terms: Terms) -> asyncio.Future[Entry]:
        """
        Append an event. See :meth:`..base.Broker.append`.

        Args:
            channel: A valid name.
            event: Any event.
            terms: What is to be done beside storing it.
        """
        future = asyncio.get_running_loop().create_future()
        self._pending.append(((channel, event, terms), future))
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_all())
        return future

    async def close(self) -> None:
        """Wait for those that were added."""
        if self._storing is not None:
            await self._storing

    async def _store_all(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            try:
                outcomes = await self._store([append for append, _ in batch])
            except Exception as error:  # noqa: BLE001 - every publisher of the batch gets it
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if future.done():
                    continue
                if isinstance(outcome, Entry):
                    future.set_result(outcome)
                else:
                    future.set_exception(outcome)
        self._storing = None
