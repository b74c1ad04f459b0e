"""
What is logged about refused requests: the first refusal for each reason at ``INFO``.

Clients choose origins, methods and names of headers, and so the reasons. Therefore both the
lines at ``INFO`` and the memory for reasons are bounded.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from .. import native
from ..cors.handshake import is_own_page
from ..cors.names import TOKEN
from ..documentation import page

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..cors import CorsRequest

__all__ = ["RefusalLog"]

_PERIOD_SECONDS = 60.0
_REASONS_PER_PERIOD = 10

# A few dozen are many for an application. Forgetting the oldest would log for ever.
_REASONS = 500

# Servers accept paths of several thousand characters.
_PATH_CHARACTERS = 200
# Longer than every registered method.
_METHOD_CHARACTERS = 32

_REFUSED = "refused %s %s: %s"
# The application has done its work: "refused" would be read as if it had not.
_ANSWERED = "answered %s %s without CORS headers, so the page cannot read it: %s"


class RefusalLog:
    """
    Log the first refusal for each reason at ``INFO``, and all others at ``DEBUG``.

    Threads may share one. After ten new reasons within a minute, and after 500 in all, one
    line says that new ones are logged at ``DEBUG`` only.

    Args:
        log: The logger for the lines.
        clock: Returns seconds that only increase.
    """

    def __init__(
        self, log: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock = clock
        self._reasons: set[str] = set()
        self._period_ends = float("-inf")
        # New reasons that may still be logged in this period; negative after that.
        self._left = 0
        # Whether the line that no reason will be logged any more has been written.
        self._is_full = False
        self._lock = native.RLock()

    def add(
        self,
        request: CorsRequest,
        reason: str,
        *,
        is_handshake: bool = False,
        is_answered: bool = False,
    ) -> None:
        """
        Log a refusal.

        Args:
            request: What was refused.
            reason: Why, in printable ASCII.
            is_handshake: Whether it is the handshake of a WebSocket.
            is_answered: Whether the application's response is sent, which the page cannot
                read.
        """
        if not self._log.isEnabledFor(logging.INFO):
            return
        what = "a WebSocket at" if is_handshake else _method(request.method)
        # Escaped: a line end in a path forged a line of Flask-CORS's log (CVE-2024-1681).
        path = ascii(request.path[:_PATH_CHARACTERS])
        line = _ANSWERED if is_answered else _REFUSED
        # Browsers also send Origin with a POST to the page's own origin, and that page can
        # read the answer. The scheme is not compared: a proxy may end TLS.
        is_own = not request.is_preflight and is_own_page(request, "ws")
        if is_own or not self._is_first(reason):
            self._log.debug(line, what, path, reason)
            return
        self._log.info(
            f"{line}. This reason is not logged again at INFO. See"
            ' "When a page is refused" in %s',
            what,
            path,
            reason,
            page("cors.md"),
        )

    def _is_first(self, reason: str) -> bool:
        """Return whether a refusal is the first for its reason, and may be at ``INFO``."""
        if reason in self._reasons:
            return False
        with self._lock:
            is_first, omitted = self._take(reason)
        if omitted is not None:
            self._log.info(
                "too many different reasons for refusals: new ones are logged at DEBUG only"
                " %s",
                omitted,
            )
        return is_first

    def _take(self, reason: str) -> tuple[bool, str | None]:
        """
        Take a line at ``INFO`` for a new reason.

        Returns:
            Whether there is one; and for how long there will be none, if that is to be
            logged now.
        """
        if reason in self._reasons:
            # Another thread was faster.
            return False, None
        if len(self._reasons) == _REASONS:
            omitted = None if self._is_full else "from now on"
            self._is_full = True
            return False, omitted
        now = self._clock()
        if now >= self._period_ends:
            self._period_ends = now + _PERIOD_SECONDS
            self._left = _REASONS_PER_PERIOD
        self._left -= 1
        if self._left >= 0:
            self._reasons.add(reason)
            return True, None
        return False, "for the rest of this minute" if self._left == -1 else None


def _method(method: str) -> str:
    """Return a method as it is logged. Not every server checks that it is a token."""
    method = method[:_METHOD_CHARACTERS]
    return method if TOKEN.fullmatch(method) else ascii(method)
