"""
The block with which a stream tells its client a position, without an event of a channel.

A client that is cut off before its first event resumes exactly, because it has an id by
then. A block with an id and no data would do that, too: it dispatches nothing, and clients
keep the id (WHATWG HTML section 9.2.6, the steps that dispatch an event; seen in Chromium
156). But then a page cannot read the id. EventSource keeps it to itself, so a page that
has to begin again with a new address has to have seen it in an event. And some clients
dispatch an empty message for a block without data: @microsoft/fetch-event-source,
extended-eventsource, httpx-sse 0.4, sseclient and aiosseclient. A page of theirs that
parses each message as JSON fails there.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, NamedTuple

from ..event import Event
from ..wire.encoder import encode_body, encode_id

if TYPE_CHECKING:
    from .position import Positions

__all__ = ["OPEN_EVENT_TYPE", "Opening"]

OPEN_EVENT_TYPE = "heliograph.open"


class Opening(NamedTuple):
    """
    How a client is told its position.

    Attributes:
        is_event: Whether by an event that a page can read. Otherwise by an id alone.
        heartbeat_seconds: For the event: the longest silence of a stream, in seconds;
            :obj:`None` if it has no heartbeats.
    """

    is_event: bool = True
    heartbeat_seconds: float | None = None

    def block(self, positions: Positions, *, resumed: bool) -> bytes:
        """
        Return the block with a client's position.

        Args:
            positions: The positions of the client.
            resumed: Whether the stream continues after the id that the client has sent. If
                events are missing in between, a gap event follows.

        Returns:
            The bytes of one ``heliograph.open`` event, whose JSON data has ``id``,
            ``channels`` (sorted), ``resumed`` and ``heartbeat_seconds``; or of one block
            without data.
        """
        return _block(self, positions.id, positions.channels, resumed=resumed)


# A crowd that comes at once is at the same position. Few: see the tags of positions.
@functools.lru_cache(maxsize=64)
def _block(
    opening: Opening, position_id: str, channels: tuple[str, ...], *, resumed: bool
) -> bytes:
    id_line = encode_id(position_id)
    if not opening.is_event:
        return id_line + b"\n"
    data = {
        "id": position_id,
        "channels": channels,
        "resumed": resumed,
        "heartbeat_seconds": opening.heartbeat_seconds,
    }
    event = Event(json.dumps(data, ensure_ascii=False), type=OPEN_EVENT_TYPE)
    return id_line + encode_body(event)
