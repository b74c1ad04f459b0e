"""Where a stream begins that has no position."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import Enum

from ..errors import InvalidFieldError
from .position import MAX_OFFSET

__all__ = ["RETAINED", "Start", "StartKind"]

_NUMBER = re.compile("[1-9][0-9]{0,18}")


class StartKind(Enum):
    """The ways in which a stream can begin."""

    RETAINED = "retained"
    """With the retained events, if there are any; then with what is published."""
    NOW = "now"
    """With what is published from now on."""
    START = "start"
    """With the oldest event of the channel's present life."""
    LAST = "last"
    """With some of the newest events."""


@dataclass(frozen=True, slots=True)
class Start:
    """
    Where a stream begins, in each of its channels.

    Args:
        kind: The way in which it begins.
        events: With :attr:`StartKind.LAST` how many events of each channel come first.
    """

    kind: StartKind
    events: int = 0

    @classmethod
    def parse(cls, value: object) -> Start:
        """
        Return the start that a developer or a client has written.

        Args:
            value: ``"retained"``, ``"now"``, ``"start"``, or a number of events of each
                channel, at least 1: an int, or its decimal digits.

        Raises:
            InvalidFieldError: The value is none of these.
        """
        if isinstance(value, str):
            if value in _BY_NAME:
                return _BY_NAME[value]
            if _NUMBER.fullmatch(value):
                value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
            return cls(StartKind.LAST, min(value, MAX_OFFSET))
        nearest: list[str] = []
        if isinstance(value, str):
            nearest = difflib.get_close_matches(value[:20].lower(), _BY_NAME, 1)
        raise InvalidFieldError(
            "start",
            value,
            'must be "retained", "now", "start", or the number of events to begin with'
            + (f"; did you mean {nearest[0]!r}?" if nearest else ""),
        )


RETAINED = Start(StartKind.RETAINED)
"""With the retained events: the start of a stream for which none was chosen."""

_BY_NAME = {
    kind.value: Start(kind) for kind in (StartKind.RETAINED, StartKind.NOW, StartKind.START)
}
