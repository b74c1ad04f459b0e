"""When an event source reconnects, and how long it waits before that."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import ClassVar, Self

from ..errors import ConfigError
from ..rules import Number, seconds

__all__ = ["Reconnect", "retry_after_seconds"]

_PASSING_STATUSES = frozenset({429, 502, 503, 504})

_RULES = {
    "first_seconds": seconds(0),
    "longest_seconds": seconds(0),
    "jitter": Number(0, 1, whole=False),
    "attempts": Number(1, optional=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect:
    """
    How an event source reconnects.

    After a stream that was open, it waits for the reconnection time (WHATWG HTML section
    9.2.3): the last ``retry`` of the server, exactly. Each attempt that fails in a row
    doubles the delay.

    Args:
        first_seconds: The reconnection time until the server sends ``retry``, in seconds.
        longest_seconds: The largest delay after attempts that failed, in seconds. A longer
            ``retry`` or ``Retry-After`` of the server holds all the same.
        jitter: From 0 to 1. Delays that the server has not named are drawn from a range of
            this share around them, so that clients of a server that restarts do not all
            return in the same instant.
        attempts: Number of attempts that may fail in a row; :obj:`None` for any number.
        statuses: Statuses after which to try again, with the time that ``Retry-After``
            names (RFC 9110 section 10.2.3). The standard's EventSource stops at each.

    Raises:
        ConfigError: A value is out of its range.
    """

    first_seconds: float = 3.0
    longest_seconds: float = 60.0
    jitter: float = 0.5
    attempts: int | None = None
    statuses: frozenset[int] = field(default=_PASSING_STATUSES)

    STRICT: ClassVar[Self]
    """As the standard's EventSource: no status passes, and no delay grows."""

    def __post_init__(self) -> None:
        problems = [
            problem
            for name, rule in _RULES.items()
            if (problem := rule.problem(f"Reconnect {name}", getattr(self, name)))
        ]
        if problems:
            raise ConfigError(problems)
        object.__setattr__(self, "statuses", frozenset(self.statuses))

    def delay_seconds(
        self, *, named_seconds: float | None, failures: int, chance: float
    ) -> float:
        """
        Return how long to wait before the next attempt.

        Args:
            named_seconds: The reconnection time that the server has sent; :obj:`None` if
                it has sent none.
            failures: Number of attempts that have failed since a stream was open.
            chance: A random number from 0 to 1.
        """
        first = self.first_seconds if named_seconds is None else named_seconds
        if failures == 0 and named_seconds is not None:
            return named_seconds
        longest = max(first, self.longest_seconds)
        # The exponent is bounded because 2.0 ** 1024 overflows.
        nominal = min(first * 2.0 ** min(max(failures - 1, 0), 64), longest)
        return nominal * (1 + self.jitter * (2 * chance - 1))


Reconnect.STRICT = Reconnect(longest_seconds=0, jitter=0, statuses=frozenset())

_DELAY = re.compile(r"[0-9]{1,9}")


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """
    Return the delay that a ``Retry-After`` field names.

    See RFC 9110 section 10.2.3: a number of seconds, or a date.

    Args:
        value: The field's value; :obj:`None` if there is no such field.
        now: Seconds since 1970 (UTC).

    Returns:
        Seconds from now, at least 0; :obj:`None` if the value is neither.
    """
    if value is None:
        return None
    value = value.strip()
    if _DELAY.fullmatch(value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:  # "-0000": UTC, from who knows where
        date = date.replace(tzinfo=UTC)
    return max(0.0, date.timestamp() - now)
