"""The hub of an application, on the event loop that uses it."""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import TYPE_CHECKING

from ..hub import open_hub
from ..hub.threaded import process
from ..servers.recycling import recycled_after

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config import HubConfig
    from ..hub import Hub

__all__ = ["LoopHub"]


class LoopHub:
    """
    A hub that is opened when it is first needed, and belongs to the loop that needed it.

    Args:
        url: Where the channels live. See :func:`heliograph.brokers.open_broker`.
        config: Limits and timings.

    Attributes:
        hub: The hub if it is open, else :obj:`None`.
    """

    def __init__(self, url: str, config: HubConfig) -> None:
        self._url = url
        self._config = config
        self.hub: Hub | None = None
        self._closed_at = 0
        # The loop that the hub belongs to. The lock is held while the hub opens or closes.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changing = asyncio.Lock()
        process.add_opener(self)

    async def opened(self) -> Hub:
        """
        Return the hub, opened if it is not.

        Raises:
            ConfigError: Storage refuses what it was configured with.
            RuntimeError: It is in use on another loop.
        """
        self._enter_loop()
        async with self._changing:
            if self.hub is None:
                # The hub would keep the context of the request that comes first (PEP 567).
                await asyncio.create_task(self._open(), context=contextvars.Context())
            assert self.hub is not None  # noqa: S101 - it has just been opened
            return self.hub

    async def close(self) -> None:
        """
        Close the hub if it is open. Using it again opens another one.

        Raises:
            RuntimeError: It is in use on another loop.
        """
        self._enter_loop()
        async with self._changing:
            hub, self.hub = self.hub, None
            self._closed_at = time.monotonic_ns()
            if hub is not None:
                await hub.close()

    def forget_parent(self) -> Iterable[object]:
        """Begin anew: after a fork, in the child. See :class:`.process.Opener`."""
        # The loop is the parent's: it still runs there, and is never closed here.
        inherited = (self.hub, self._loop, self._changing)
        self.hub = self._loop = None
        self._changing = asyncio.Lock()
        return inherited

    async def _open(self) -> None:
        # Kept in the step in which it is open: whoever has asked for it may be cancelled
        # in that moment, and nobody could close it.
        self.hub = await open_hub(
            self._url,
            self._config,
            previous_closed_at=self._closed_at,
            recycled_after=recycled_after,
        )

    def _enter_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        is_used = self.hub is not None or self._changing.locked()
        if is_used and self._loop is not None and not self._loop.is_closed():
            raise RuntimeError(
                "these streams are in use on another event loop. From one of its threads:"
                " anyio.from_thread.run(streams.publish, data). A loop of its own needs an"
                " EventStreams of its own, with the same url"
            )
        # What a loop has left open when it ended can only be dropped.
        self._loop, self.hub, self._changing = loop, None, asyncio.Lock()
