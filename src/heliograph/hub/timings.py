"""The timings of a hub that no setting names: chosen here, and handed to its rooms."""

from __future__ import annotations

from dataclasses import dataclass

from .sinks.sink import CLOSE_SECONDS

__all__ = ["DEFAULT_TIMINGS", "Timings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """
    How long a hub waits, in seconds.

    Args:
        commands_seconds: For the commands of other processes when it opens. If storage is
            unavailable they are obeyed when it is available again.
        heads_seconds: For the heads of a client's channels, before the client is sent its
            head. A stream that opens late is better than none.
        lag_look_seconds: Between two looks at what is held for clients that are behind. A
            look at ten thousand takes some ten milliseconds, in several steps.
        stop_look_seconds: Between two questions to a server whether it wants to stop.
        last_bytes_seconds: For clients to take what was written to them, when the hub is
            closed. Those that do not are given it again after reconnecting.
        close_seconds: For a client to take its last bytes when its stream is finished.
        admit_seconds: For the loop to look at a request, in a server's thread. A loop that
            is later has more to do than it can, and a thread that waits serves nobody: the
            client is refused, and asks again.
        open_seconds: For the hub to open, in a server's thread. It never blocks, so this is
            only reached when the machine is overloaded beyond use.
        blind_heartbeat_seconds: Between two writes where the server hides the client's
            socket: a failed write, usually the second, is the only sign of a disconnect.
        blind_stream_seconds: How long such a stream lasts, give or take a tenth: some
            servers accept whatever is written for a client that has left. A client that is
            still there reconnects by itself.
    """

    commands_seconds: float = 1.0
    heads_seconds: float = 1.0
    lag_look_seconds: float = 1.0
    stop_look_seconds: float = 0.2
    last_bytes_seconds: float = 0.5
    close_seconds: float = CLOSE_SECONDS
    admit_seconds: float = 2.0
    open_seconds: float = 30.0
    blind_heartbeat_seconds: float = 2.0
    blind_stream_seconds: float = 300.0


DEFAULT_TIMINGS = Timings()
"""What every hub has but those of tests."""
