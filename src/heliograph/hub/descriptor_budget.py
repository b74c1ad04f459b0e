"""A limit on streams that leaves descriptors to the rest of the process."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

try:
    import resource
except ModuleNotFoundError:
    # Windows has no such limit.
    resource = None  # type: ignore[assignment]  # there only

from ..logs import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DescriptorBudget"]

_log = Logger("heliograph.hub")

# Descriptors that streams leave free, or half of all if that is less: a server that cannot
# accept its next client may end, and all its streams with it.
_LEFT_TO_OTHERS = 100

# A connection, and for a stream that a thread serves both ends of a pipe.
_OF_A_STREAM = 3

# How long a count is used: counting takes up to some milliseconds.
_LOOK_SECONDS = 1.0


class DescriptorBudget:
    """
    The number of descriptors that this process has open, counted as seldom as possible.

    A count is used for a second, or until so many streams have begun that they could have
    used up the descriptors that were free.

    Args:
        clock: Returns a time in seconds that never decreases.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._may_begin = 0
        self._counts_until = 0.0
        self._is_full = False
        self._has_told = False

    def have_room(self) -> bool:
        """Return whether a stream may begin. If so, it is counted as begun."""
        now = self._clock()
        if now >= self._counts_until or (self._may_begin == 0 and not self._is_full):
            self._look(now)
        if self._is_full:
            return False
        self._may_begin -= 1
        return True

    def have_room_for(self, streams: int) -> bool:
        """
        Return whether so many streams may begin, and more. For any thread.

        Args:
            streams: Their number.

        Returns:
            False if there may be too few descriptors, or nobody has counted lately.
        """
        return self._clock() < self._counts_until and self._may_begin > 2 * streams

    def _look(self, now: float) -> None:
        limit = _limit()
        room = limit - min(limit // 2, _LEFT_TO_OTHERS) - _open_now(limit)
        self._counts_until = now + _LOOK_SECONDS
        self._may_begin = max(0, room // _OF_A_STREAM)
        self._is_full = self._may_begin == 0
        if self._is_full:
            self._tell(limit)

    def _tell(self, limit: int) -> None:
        if not self._has_told:
            self._has_told = True
            _log.warning(
                "streams are refused: this process may not have more than %d files open,"
                " and needs some for other things. Raise that limit (RLIMIT_NOFILE)",
                limit,
            )


def _limit() -> int:
    # Without a limit, more than any process needs.
    if resource is None:
        return 1 << 30
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if limit == resource.RLIM_INFINITY else limit


def _open_now(limit: int) -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return len(os.listdir(folder))  # noqa: PTH208 - nothing else is wanted
        except FileNotFoundError:
            continue
        except OSError:
            return limit  # no descriptor is left, not even for this
    return 0
