"""
Which channels are listened to: changes are made in the order in which they were asked for.

Clients may come with thousands of channels at once, so changes are made many at a time, in
one transaction, and cost no task each.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from ...channels.position import Position
    from ...errors import BrokerUnavailableError
    from .rows import ChannelState

    # A name with the future of who waits, or None to stop listening.
    _Change: TypeAlias = tuple[str, asyncio.Future[Position] | None]
    _Outcome: TypeAlias = ChannelState | None

__all__ = ["Changes"]

# Channels in one call: some milliseconds.
_CHANGES_AT_ONCE = 256


class Changes:
    """
    A queue of channels to listen to, or to stop listening to.

    Args:
        change: Makes some of the changes: names, each with whether it is listened to from
            now on. Returns as :meth:`.news.News.change`.
        on_state: Called with the state of each channel before its head is returned.
        closed_error: Returns the error for those who wait when the broker is closed.
    """

    def __init__(
        self,
        change: Callable[[Sequence[tuple[str, bool]]], Awaitable[list[_Outcome]]],
        on_state: Callable[[str, ChannelState], None],
        closed_error: Callable[[], BrokerUnavailableError],
    ) -> None:
        self._change = change
        self._on_state = on_state
        self._closed_error = closed_error
        self._closed = False
        self._changes: deque[_Change] = deque()
        self._changing: asyncio.Task[None] | None = None
        # The last call of listen() for each channel that is to be listened to.
        self._wanted: dict[str, asyncio.Future[Position]] = {}

    def is_wanted(self, channel: str) -> bool:
        """
        Return whether a channel is to be listened to, also before that has been done.

        Entries are committed while a change waits for its turn.

        Args:
            channel: Any name.
        """
        begun = self._wanted.get(channel)
        return begun is not None and not begun.cancelled()

    def listen(self, channel: str) -> asyncio.Future[Position]:
        """
        Listen to a channel. See :meth:`..base.Broker.listen`.

        Args:
            channel: A valid name that is not listened to.
        """
        begun: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        if self._closed:
            begun.set_exception(self._closed_error())
        else:
            self._wanted[channel] = begun
            self._add(channel, begun)
        return begun

    def unlisten(self, channel: str) -> None:
        """
        Stop listening to a channel. See :meth:`..base.Broker.unlisten`.

        Args:
            channel: A name, listened to or not.
        """
        self._wanted.pop(channel, None)
        self._add(channel, None)

    async def close(self) -> None:
        """Wait for the changes under way, and fail the others."""
        self._closed = True
        if self._changing is not None:
            await self._changing

    def _add(self, channel: str, begun: asyncio.Future[Position] | None) -> None:
        self._changes.append((channel, begun))
        if self._changing is None:
            self._changing = asyncio.create_task(
                self._change_all(), context=contextvars.Context()
            )

    async def _change_all(self) -> None:
        while self._changes:
            if self._closed:
                self._fail(self._changes, self._closed_error())
                self._changes.clear()
                break
            count = min(len(self._changes), _CHANGES_AT_ONCE)
            changes = [self._changes.popleft() for _ in range(count)]
            # A call that was cancelled before its turn is as one to stop listening.
            asked = [
                (name, begun is not None and not begun.cancelled())
                for name, begun in changes
            ]
            try:
                outcomes = await self._change(asked)
            except Exception as error:  # noqa: BLE001 - all that wait get it
                self._fail(changes, error)
            else:
                self._settle(changes, outcomes)
        self._changing = None

    def _settle(self, changes: list[_Change], outcomes: list[_Outcome]) -> None:
        # Undo only what is the last that was asked for a channel in this batch: what came
        # after it in the same batch has been done, and is wanted.
        last = dict(changes)
        for (name, begun), outcome in zip(changes, outcomes, strict=True):
            if begun is None:
                continue
            if begun.cancelled():
                self._forget(name, begun)
                if outcome is not None and last[name] is begun:
                    # Cancelled since: undone before whatever was asked for after it.
                    self._changes.appendleft((name, None))
            elif outcome is not None:
                self._on_state(name, outcome)
                begun.set_result(outcome.head)

    def _fail(self, changes: Iterable[_Change], error: Exception) -> None:
        for name, begun in changes:
            if begun is not None:
                self._forget(name, begun)
                if not begun.done():
                    begun.set_exception(error)

    def _forget(self, channel: str, begun: asyncio.Future[Position]) -> None:
        # Unless it was asked for again since.
        if self._wanted.get(channel) is begun:
            del self._wanted[channel]
