"""What a sink is: how bytes reach one client."""

from __future__ import annotations

from typing import Protocol

__all__ = ["CLOSE_SECONDS", "PAUSE_BYTES", "Sink"]

# Bytes in the process that a client may leave unread before it counts as paused: one
# write of the usual size, so that a short stall does not make a client slow.
PAUSE_BYTES = 64 * 1024

# How long a client has to take its last bytes when its stream is ended.
CLOSE_SECONDS = 5.0


class Sink(Protocol):
    """
    How bytes reach a client. Used on the hub's loop only.

    A sink whose client has gone, or that is ready for more after it was paused, says so
    through the hub that it was attached to.

    Attributes:
        paused: Whether the client is slower than what it is given. A paused sink may
            still be written to; the hub avoids it.
    """

    paused: bool

    @property
    def unsent_bytes(self) -> int:
        """How many written bytes this process still holds."""
        ...

    def write(self, data: bytes) -> None:
        """
        Give the client some bytes. Never blocks.

        Args:
            data: Whole blocks, at least one.
        """
        ...

    def close(self) -> None:
        """End the stream after what has been written."""
        ...

    def abort(self) -> None:
        """End the stream at once."""
        ...
