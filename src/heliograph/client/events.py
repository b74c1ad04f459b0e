"""What a stream delivers to a program, and the state of its connection."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["End", "Gap", "MessageEvent", "Opening", "ReadyState"]


class ReadyState(enum.IntEnum):
    """
    The state of an event source, with the numbers of its ``readyState``.

    See WHATWG HTML section 9.2.2, `The EventSource interface
    <https://html.spec.whatwg.org/multipage/server-sent-events.html#dom-eventsource-readystate>`_.
    """

    CONNECTING = 0
    """Not connected yet, or waiting for a reconnect."""

    OPEN = 1
    """Connected: events arrive."""

    CLOSED = 2
    """Ended for good. Nothing reconnects."""


class MessageEvent(NamedTuple):
    """
    An event that a stream has delivered.

    See WHATWG HTML section 9.2.6. Compare it with a tuple, or unpack it.

    Attributes:
        data: The payload. Several ``data`` lines are joined by LF.
        type: The event's type; ``"message"`` if the stream names none.
        last_event_id: The last event id in force. An event source that starts with it
            continues after this event.
    """

    data: str
    type: str = "message"
    last_event_id: str = ""

    def json(self) -> Any:
        """
        Return the data, decoded as JSON.

        Raises:
            ValueError: The data is not JSON.
        """
        return json.loads(self.data)


class Gap(MessageEvent):
    """
    A gap that Heliograph reports: events before the next one are missing.

    Fetch what the events describe again. ``docs/channels.md`` lists the reasons.
    """

    __slots__ = ()

    @property
    def channels(self) -> list[str]:
        """The channels in which events are missing, sorted."""
        return list(self.json()["channels"])

    @property
    def reasons(self) -> dict[str, str]:
        """For each of these channels ``"trimmed"``, ``"epoch"`` or ``"unknown"``."""
        return dict(self.json()["reasons"])


class End(MessageEvent):
    """The end of a channel that Heliograph reports: no more of its events will follow."""

    __slots__ = ()

    @property
    def channel(self) -> str:
        """The channel that has ended."""
        return str(self.json()["channel"])


@dataclass(frozen=True, slots=True)
class Opening:
    """
    A connection that has been accepted.

    Attributes:
        url: The address that answered, after redirects.
        headers: The fields of the response, with names in lower case.
        last_event_id: The id that was sent as ``Last-Event-ID``; ``""`` if none was.
    """

    url: str
    headers: Mapping[str, str]
    last_event_id: str
