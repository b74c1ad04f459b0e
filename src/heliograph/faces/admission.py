"""The slot in the hub that a client takes that is let in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..errors import HubClosedError, TooManySubscribersError
from .refusal import Refusal, refusal_of

if TYPE_CHECKING:
    from ..config import HubConfig
    from ..hub import Admission, Ticket

__all__ = ["Admitting", "admit"]


class Admitting(Protocol):
    """
    The part of a hub that reserves slots: :class:`.Hub`, :class:`.StreamHub`.

    Attributes:
        config: Limits, and how clients beyond them are refused.
    """

    config: HubConfig

    def admit(self, admission: Admission) -> Ticket:
        """Reserve a slot and return its ticket. See :meth:`.Hub.admit`."""
        ...


def admit(hub: Admitting, admission: Admission, *, accept: str) -> Ticket | Refusal:
    """
    Reserve a slot in the hub for a client that was let in.

    Args:
        hub: The hub that is going to serve the client.
        admission: The stream that the client may open.
        accept: The ``Accept`` field of the request; empty if it has none. A client that
            asks for a stream by name is told when to reconnect.

    Returns:
        The hub's ticket, to be served or released; a refusal if a cap is reached or the hub
        has been closed.

    Raises:
        ConfigError: Storage refuses what it was configured with (a hub that opens with its
            first use).
    """
    try:
        return hub.admit(admission)
    except (TooManySubscribersError, HubClosedError) as error:
        return refusal_of(error, accept=accept, config=hub.config)
