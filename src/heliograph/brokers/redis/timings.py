"""How long the Redis broker waits for what."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Timings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """
    Waiting times of a broker, all in seconds and above 0. Tests shorten or lengthen them.

    Args:
        subscribe_seconds: How long the confirmation of a subscription may take.
        silence_seconds: Silence on a listening connection after which Redis is asked
            whether it is still there; and the time that its answer may take.
        catch_up_retry_seconds: Between two tries to read what a channel has missed.
        renew_seconds: Between two reads of everything that is listened to, at most. It must
            be well below the three weeks after which a position before a channel's first
            event may no longer be valid. Channels that are forgotten sooner are read more
            often.
    """

    subscribe_seconds: float = 5.0
    silence_seconds: float = 5.0
    catch_up_retry_seconds: float = 0.5
    renew_seconds: float = 6 * 3600.0
