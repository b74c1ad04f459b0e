"""One client: what it asked for, where it is, and how bytes reach it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..channels.feed import Cursor
    from .hub import Hub
    from .sinks import Sink

__all__ = ["Subscriber"]


class Subscriber:
    """
    One client of a hub, from :meth:`.hub.Hub.admit` until it leaves.

    Args:
        hub: Has admitted it.
        channels: What it asked for, sorted, each once.
        last_event_id: Where it says that it is; :obj:`None` to begin now.
        expires_at: When its stream ends, in seconds since the epoch of Unix;
            :obj:`None` for no end.
        address: From where it has come; :obj:`None` if that is not known.
        at_address: How many have come from there to this process, this one included.
        began_at: When it was admitted, in the loop's time.

    Attributes:
        last_event_id: After which it begins; :obj:`None` until one that begins now has
            its place.
        sink: Set when it is attached.
        cursor: Its place in its feed; :obj:`None` until it has caught up.
        gone: Whether it has left.
        page_bytes: What it was read from storage, and has yet to be written to its sink.
        stopping: Says whether the server that serves it wants to stop, if that is asked.
    """

    __slots__ = (
        "_drained",
        "address",
        "at_address",
        "began_at",
        "channels",
        "cursor",
        "expires_at",
        "expiry",
        "gone",
        "hub",
        "joining",
        "last_event_id",
        "page_bytes",
        "quiet_since",
        "sink",
        "stopping",
    )

    def __init__(
        self,
        hub: Hub,
        channels: tuple[str, ...],
        last_event_id: str | None,
        *,
        expires_at: float | None,
        address: str | None,
        at_address: int,
        began_at: float,
    ) -> None:
        self.hub = hub
        self.channels = channels
        self.last_event_id = last_event_id
        self.expires_at = expires_at
        self.address = address
        self.at_address = at_address
        self.began_at = began_at
        self.sink: Sink | None = None
        self.cursor: Cursor | None = None
        self.gone = False
        self.page_bytes = 0
        self.stopping: Callable[[], bool] | None = None
        # The task that brings it to its feed, and when that last wrote something.
        self.joining: asyncio.Task[None] | None = None
        self.quiet_since = 0.0
        self.expiry: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None

    @property
    def unsent_bytes(self) -> int:
        """How many bytes this process holds for this client alone."""
        return self.page_bytes + (0 if self.sink is None else self.sink.unsent_bytes)

    async def drained(self) -> None:
        """Wait until the sink is ready for more. Cancelling leaves nothing behind."""
        assert self.sink is not None  # noqa: S101 - attached before it is served
        while self.sink.paused:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def on_drained(self) -> None:
        """Let :meth:`drained` go on."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
