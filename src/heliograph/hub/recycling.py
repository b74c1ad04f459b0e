"""
When the clients of a process come back that its server replaces after some requests.

A stream is one request, and so is each reconnect. A process whose streams end has them come
back within three seconds, to the other processes, whose requests that uses up: the next one
is replaced, and so on without end if there are as many streams as requests. Each of these
steps takes as long as clients take to come back, so they are told to take longer, the more
of the allowed requests their streams are. Where a process ends for another reason, such as
a deploy, they come back as soon as ever.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import HubConfig

__all__ = ["Recycling"]

# Over how many seconds as many clients come back as a process may have requests. Proxies
# and people get used to streams that are late by a minute, and not by more.
_SECONDS = 60.0


class Recycling:
    """
    What the clients of a hub are told when their streams finish.

    Args:
        config: The reconnection time of clients that are told nothing else.
        recycled_after: Returns after how many requests the server replaces this process, if
            it ends for that reason; :obj:`None` otherwise.
    """

    def __init__(self, config: HubConfig, recycled_after: Callable[[], int | None]) -> None:
        self._config = config
        self._recycled_after = recycled_after
        self._spread_ms: float | None = None

    def last_words(self, streams: int) -> bytes:
        """
        Return the last lines of a stream: another reconnection time, or nothing.

        The time holds for one reconnect, since each stream begins with the usual one.

        Args:
            streams: How many streams the hub has. The first call counts, with all streams.
        """
        requests = self._recycled_after()
        if requests is None:
            return b""
        if self._spread_ms is None:
            self._spread_ms = 1000 * _SECONDS * min(1.0, streams / max(1, requests))
        usual = self._config.retry_ms
        latest = 1.5 * usual + self._spread_ms
        # A line of no block, as in the greeting.
        return b"retry: %d\n" % random.uniform(0.5 * usual, latest)  # noqa: S311 - spreads load, guards nothing
