"""
Finishes streams whose server wants to stop.

For servers that announce nothing, and wait for their responses when they stop: they have to
be asked.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..logs import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from .subscriber import Subscriber
    from .tasks import Tasks

__all__ = ["StopWatch"]

_log = Logger("heliograph.hub")


class StopWatch:
    """
    Finishes streams when their servers want to stop. An observer of subscribers.

    Args:
        tasks: Runs the watch, while there are streams to watch.
        look_seconds: The time between two calls for the same server.
    """

    def __init__(self, tasks: Tasks, look_seconds: float) -> None:
        self._tasks = tasks
        self._look_seconds = look_seconds
        # The callable of a server -> the streams that the server serves; and the reverse.
        self._streams: dict[Callable[[], bool], set[Subscriber]] = {}
        self._servers: dict[Subscriber, Callable[[], bool]] = {}
        # Callables that raised when they were called last.
        self._silent: set[Callable[[], bool]] = set()
        self._is_watching = False

    def watch(self, subscriber: Subscriber, is_stopping: Callable[[], bool]) -> None:
        """
        Finish a stream when its server wants to stop, at once if it already does.

        Args:
            subscriber: Any subscriber. If it is watched already, the new server counts.
            is_stopping: Returns whether the server wants to stop. Called several times a
                second, once for all streams whose callables are equal. An exception is
                logged, and counts as :obj:`False`.
        """
        if not subscriber.is_open:
            return
        if self._wants_to_stop(is_stopping):
            subscriber.finish()
            return
        self.on_left(subscriber)  # a stream has one server
        self._servers[subscriber] = is_stopping
        self._streams.setdefault(is_stopping, set()).add(subscriber)
        if not self._is_watching:
            self._is_watching = True
            self._tasks.start(self._watch())

    def on_left(self, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        server = self._servers.pop(subscriber, None)
        if server is None:
            return
        self._streams[server].discard(subscriber)
        if not self._streams[server]:
            del self._streams[server]
            self._silent.discard(server)

    async def _watch(self) -> None:
        try:
            while self._streams:
                await asyncio.sleep(self._look_seconds)
                for is_stopping, subscribers in tuple(self._streams.items()):
                    if self._wants_to_stop(is_stopping):
                        for subscriber in tuple(subscribers):
                            subscriber.finish()
        finally:
            self._is_watching = False

    def _wants_to_stop(self, is_stopping: Callable[[], bool]) -> bool:
        try:
            answer = is_stopping()
        except Exception:  # noqa: BLE001 - logged; other servers have to be asked all the same
            if is_stopping not in self._silent:
                self._silent.add(is_stopping)
                _log.exception("cannot ask a server whether it wants to stop, trying again")
            return False
        self._silent.discard(is_stopping)
        return answer
