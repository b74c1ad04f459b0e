"""Whether this process may open files for one more stream."""

from __future__ import annotations

import contextlib
import logging
import os
import time

try:
    import resource
except ModuleNotFoundError:
    # Windows has no such limit.
    resource = None  # type: ignore[assignment]  # there only

__all__ = ["Files"]

_log = logging.getLogger("heliograph.hub")

# What is left to others, or half of all: a server that has none for its next client ends,
# and all its streams with it.
_LEFT_TO_OTHERS = 100

# A stream has its connection; one that a thread serves has a pipe as well.
_OF_A_STREAM = 3

# After it was full there is no look for so long: each takes up to some milliseconds.
_FULL_SECONDS = 1.0


class Files:
    """
    The files that this process has open, counted as seldom as will do.

    Between two looks as many streams may begin as could not have used all of them up.
    """

    def __init__(self) -> None:
        self._may_begin = 0
        self._is_full_until = 0.0
        self._has_told = False

    def have_room(self) -> bool:
        """Say whether a stream may begin, and count it if so."""
        if self._may_begin > 0:
            self._may_begin -= 1
            return True
        now = time.monotonic()
        if now < self._is_full_until:
            return False
        limit = _limit()
        room = limit - min(limit // 2, _LEFT_TO_OTHERS) - _open_now()
        if room < _OF_A_STREAM:
            self._is_full_until = now + _FULL_SECONDS
            self._tell(limit)
            return False
        self._may_begin = room // _OF_A_STREAM - 1
        return True

    def _tell(self, limit: int) -> None:
        if not self._has_told:
            self._has_told = True
            _log.warning(
                "streams are refused: this process may not have more than %d files open,"
                " and needs some for other things. Raise that limit (RLIMIT_NOFILE)",
                limit,
            )


def _limit() -> int:
    # Where there is none, more streams than anybody has.
    if resource is None:
        return 1 << 30
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if limit == resource.RLIM_INFINITY else limit


def _open_now() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return len(os.listdir(folder))  # noqa: PTH208 - nothing else is wanted
    return 0
