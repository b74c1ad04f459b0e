"""The hub of an application, on the event loop that uses it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib
import sys
import time
from typing import TYPE_CHECKING, cast

from ..hub import open_hub
from ..hub.threaded import process
from ..servers.recycling import recycled_after
from .loop_tasks import LoopTasks
from .relative_file import warn_of_relative_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..config import HubConfig
    from ..hub import Hub

__all__ = ["LoopHub"]

# How long what was started on the loop may take when the streams are closed.
_END_SECONDS = 5.0


class LoopHub:
    """
    A hub that is opened when it is first needed, and belongs to the loop that needed it.

    Args:
        url: Where the channels live. See :func:`heliograph.brokers.open_broker`.
        config: Limits and timings.

    Attributes:
        url: Where the channels live.
        hub: The hub if it is open, else :obj:`None`.
        tasks: What runs beside the requests. :meth:`close` waits for it.
    """

    def __init__(self, url: str, config: HubConfig) -> None:
        self.url = url
        self._config = config
        self.hub: Hub | None = None
        self.tasks = LoopTasks()
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
        if self.hub is not None and not self._changing.locked():
            return self.hub
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
        # What publish_soon has handed over begins in the loop's next turn.
        await asyncio.sleep(0)
        await self.tasks.ended(_END_SECONDS)
        await self._close()
        if await self.tasks.ended(_END_SECONDS):
            # A function of on_leave may have published, which opens another hub.
            await self._close()

    def loop(self) -> asyncio.AbstractEventLoop:
        """
        Return the loop to which the hub belongs, or will. May be called in any thread.

        Raises:
            RuntimeError: It is not known, or has ended.
        """
        loop = self._loop
        if loop is not None and loop.is_running():
            return loop
        with contextlib.suppress(RuntimeError):
            return asyncio.get_running_loop()
        if "anyio" in sys.modules:
            # FastAPI and Starlette run functions without async in threads of anyio's,
            # which know the loop that waits for them.
            from_thread = importlib.import_module("anyio.from_thread")
            with contextlib.suppress(RuntimeError):
                found = from_thread.run_sync(asyncio.get_running_loop)
                return cast("asyncio.AbstractEventLoop", found)
        was_used = loop is not None
        what = "were used on a loop that ended" if was_used else "were not opened yet"
        raise RuntimeError(
            f"these streams {what}, so this thread cannot find an event loop to publish on."
            " Open them in the lifespan of the application: async with streams: … A program"
            " without a server publishes with heliograph.Publisher(url)"
        )

    async def _close(self) -> None:
        async with self._changing:
            hub, self.hub = self.hub, None
            self._closed_at = time.monotonic_ns()
            if hub is not None:
                await hub.close()

    def forget_parent(self) -> Iterable[object]:
        """Begin anew: after a fork, in the child. See :class:`.process.Opener`."""
        # The loop is the parent's: it still runs there, and is never closed here.
        inherited = (self.hub, self._loop, self._changing, self.tasks)
        self.hub = self._loop = None
        self._changing, self.tasks = asyncio.Lock(), LoopTasks()
        return inherited

    async def _open(self) -> None:
        warn_of_relative_file(self.url)
        # Kept in the step in which it is open: whoever has asked for it may be cancelled
        # in that moment, and nobody could close it.
        self.hub = await open_hub(
            self.url,
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
                "these streams are in use on another event loop. From another thread call"
                " streams.publish_sync(data). Another loop needs its own EventStreams,"
                " with the same url"
            )
        # What a loop has left open when it ended can only be dropped.
        self._loop, self.hub, self._changing = loop, None, asyncio.Lock()
        self.tasks.forget_ended_loops()
