"""What a client that is let in is given, and the slot in the hub that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..errors import HubClosedError, TooManySubscribersError
from .refusal import Refusal, refusal_of

if TYPE_CHECKING:
    from ..hub import Ticket

__all__ = ["Admission", "Admitting", "admit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """
    A stream that a client may open.

    Args:
        channels: The channels, sorted, each once.
        last_event_id: The id after which the stream resumes; :obj:`None` to begin now.
        expires_at: When the permission expires, and the stream with it, in seconds since
            the epoch of Unix; :obj:`None` if it does not.
        address: The client's address; :obj:`None` if it is not known.
        arrived_at: When the request arrived: a result of :func:`time.monotonic_ns`.
    """

    channels: tuple[str, ...]
    last_event_id: str | None
    expires_at: float | None
    address: str | None
    arrived_at: int


class Admitting(Protocol):
    """The part of a hub that reserves slots: :class:`.Hub`, :class:`.StreamHub`."""

    def admit(
        self,
        channels: tuple[str, ...],
        *,
        last_event_id: str | None,
        expires_at: float | None,
        address: str | None,
        arrived_at: int | None,
    ) -> Ticket:
        """Reserve a slot and return its ticket. See :meth:`.Hub.admit`."""
        ...


def admit(hub: Admitting, admission: Admission) -> Ticket | Refusal:
    """
    Reserve a slot in the hub for a client that was let in.

    Args:
        hub: The hub that is going to serve the client.
        admission: The stream that the client may open.

    Returns:
        The hub's ticket, to be served or released; a refusal if a cap is reached or the hub
        has been closed.

    Raises:
        ConfigError: Storage refuses what it was configured with (a hub that opens with its
            first use).
    """
    try:
        return hub.admit(
            admission.channels,
            last_event_id=admission.last_event_id,
            expires_at=admission.expires_at,
            address=admission.address,
            arrived_at=admission.arrived_at,
        )
    except (TooManySubscribersError, HubClosedError) as error:
        return refusal_of(error)
