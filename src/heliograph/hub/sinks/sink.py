"""What a sink is: how bytes reach one client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...wire.framing import Framing

__all__ = [
    "CLOSE_SECONDS",
    "PAUSE_BYTES",
    "Sink",
    "SinkClient",
    "end_stream",
    "timer_within",
]

# A sink is paused when the process holds more bytes for its client than this. A write of
# the usual size fits, so that a short stall does not make a client slow.
PAUSE_BYTES = 64 * 1024

# How long a client has to take its last bytes when its stream is ended.
CLOSE_SECONDS = 5.0


class SinkClient(Protocol):
    """What a sink calls when its client's state changes. Called on the hub's loop."""

    def on_resumed(self) -> None:
        """Continue to write: the sink was paused, and accepts more."""
        ...

    def on_silent(self) -> None:
        """Write something: only a write can show whether the client is still there."""
        ...

    def on_lost(self) -> None:
        """Stop writing: the client has left. May be called more than once."""
        ...

    def finish(self) -> None:
        """End the stream after what was published before: the server wants to stop."""
        ...


class Sink(Protocol):
    """
    How bytes reach a client. Used on the hub's loop only.

    Attributes:
        framing: How blocks that are written to the sink have to be delimited.
        paused: Whether the client takes bytes more slowly than they are written. Writing to
            a paused sink is allowed; the hub avoids it.
    """

    framing: Framing
    paused: bool

    @property
    def unsent_bytes(self) -> int:
        """How many written bytes this process still holds."""
        ...

    def attach(self, client: SinkClient) -> None:
        """
        Report from now on what happens to the client. Called once, before writing.

        Args:
            client: Told when the sink is ready again, and when the client has left.
        """
        ...

    def write(self, data: bytes) -> None:
        """
        Send the client some bytes. Never blocks.

        Args:
            data: Framed blocks, at least one.
        """
        ...

    def close(self) -> None:
        """End the stream after what has been written, if the client still takes it."""
        ...

    def abort(self) -> None:
        """End the stream at once."""
        ...


def end_stream(sink: Sink) -> None:
    """
    End a stream after what has been written, so that its end differs from a cut.

    Args:
        sink: How bytes reach the client.
    """
    if end := sink.framing.end:
        sink.write(end)
    sink.close()


def timer_within(
    seconds: float, function: Callable[[], None], timer: asyncio.TimerHandle | None
) -> asyncio.TimerHandle:
    """
    Return a timer that calls a function within some seconds.

    A server that stops gives less time than a stream that is closed, whichever is first.

    Args:
        seconds: From now on.
        function: What the earlier timer calls, too.
        timer: The earlier one, which is returned if it is over sooner, and else cancelled.
    """
    loop = asyncio.get_running_loop()
    if timer is not None:
        if timer.when() <= loop.time() + seconds:
            return timer
        timer.cancel()
    return loop.call_later(seconds, function)
