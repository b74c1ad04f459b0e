"""How often and how long the SQLite broker waits."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_TIMINGS", "SqliteTimings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteTimings:
    """
    How often and how long a broker waits.

    Args:
        poll_with_bell_seconds: How often to look for new entries without being rung. With a
            doorbell this only makes up for a lost ring.
        poll_without_bell_seconds: The same where no doorbell can be hung. It is the latency
            of events from other processes then.
        sweep_seconds: How often what is too old is removed although nobody publishes. The
            same in all processes: a channel that is listened to is marked as used so often.
        lock_timeout_seconds: How long a transaction waits for another process that writes.
    """

    poll_with_bell_seconds: float = 1.0
    poll_without_bell_seconds: float = 0.05
    sweep_seconds: float = 60.0
    lock_timeout_seconds: float = 5.0


DEFAULT_TIMINGS = SqliteTimings()
