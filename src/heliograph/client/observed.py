"""What both classes of event sources show of their connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .events import ReadyState

if TYPE_CHECKING:
    from .events import MessageEvent
    from .machine import Machine

__all__ = ["Observed"]


class _Reading(Protocol):
    machine: Machine
    last_event_id: str

    @property
    def is_closed(self) -> bool: ...


class Observed:
    """
    The state of an event source.

    Args:
        reading: Its connections.
    """

    def __init__(self, reading: _Reading) -> None:
        self._observed = reading

    @property
    def last_event_id(self) -> str:
        """The id to resume after the last event that was iterated over; ``""`` for none."""
        return self._observed.last_event_id

    @property
    def opening_event(self) -> MessageEvent | None:
        """
        The event ``heliograph.open``, which is not iterated over.

        Its id is the position before the first event of the connection, and its JSON has
        the ``channels``. :obj:`None` before it has come, and from other servers.
        """
        return self._observed.machine.opening_event

    @property
    def ready_state(self) -> ReadyState:
        """The state of the connection."""
        if self._observed.is_closed:
            return ReadyState.CLOSED
        return self._observed.machine.ready_state

    @property
    def url(self) -> str:
        """The address of the next attempt: as given, renewed, or moved to for good."""
        return self._observed.machine.url
