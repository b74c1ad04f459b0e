"""The events that ``heliograph listen`` prints, and the two forms of its output."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..channels.position import Positions
from ..errors import InvalidStreamIdError
from .output import visible

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["JsonLines", "Pretty", "Printer", "Received", "channel_between"]


class Received(NamedTuple):
    """
    An event as it is printed.

    Attributes:
        id: The id with which a stream resumes after it; ``""`` if the server sends none.
        channel: Its channel; :obj:`None` if that is not known.
        type: Its type, ``"message"`` for an event without one.
        data: Its data as it came.
        time: When it was received, with a time zone.
    """

    id: str
    channel: str | None
    type: str
    data: str
    time: datetime


class Printer(Protocol):
    """Prints events to stdout."""

    def __call__(self, event: Received, /) -> None:
        """Print an event, so that whoever reads stdout has it at once."""
        ...


class JsonLines:
    """Prints each event as a line of JSON with the fields of :class:`Received`."""

    def __init__(self) -> None:
        # RFC 8259 section 8.1: UTF-8, whatever the locale is.
        self._write = sys.stdout.buffer.write
        self._flush = sys.stdout.buffer.flush

    def __call__(self, event: Received) -> None:
        """Print an event."""
        fields = event._asdict()
        fields["time"] = event.time.isoformat(timespec="milliseconds")
        self._write(json.dumps(fields, ensure_ascii=False).encode() + b"\n")
        self._flush()


class Pretty:
    """Prints each event as a line for people: time, channel, type, data, in colours."""

    def __init__(self) -> None:
        # Imported only for people: it takes longer than the rest of the command.
        from rich.console import Console  # noqa: PLC0415
        from rich.highlighter import JSONHighlighter  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        self._console = Console(highlight=False, markup=False, emoji=False)
        self._highlight = JSONHighlighter()
        self._text = Text

    def __call__(self, event: Received) -> None:
        """Print an event."""
        line = self._text(event.time.astimezone().strftime("%H:%M:%S "), style="dim")
        if event.channel is not None:
            line.append(visible(event.channel) + " ", style="not dim cyan")
        style = "not dim bold yellow" if event.type == "heliograph.gap" else "not dim green"
        line.append(visible(event.type) + " ", style=style)
        # Lines of data are indented, so that none looks like an event of its own.
        shown = visible(event.data).replace("\n", "\n         ")
        data = self._text(shown, style="not dim")
        if _is_json(event.data):
            self._highlight.highlight(data)
        # The terminal wraps: what is copied from it has no line ends of ours.
        self._console.print(line + data, soft_wrap=True)


def channel_between(before: str, after: str, channels: tuple[str, ...]) -> str | None:
    """
    Return the channel of an event, of the ids before and after it.

    A stream does not name the channel of an event. The ids of a stream of several channels
    have the positions in all of them, of which an event moves one.

    Args:
        before: The id of the event before, or with which the stream begins.
        after: The id of the event.
        channels: Those of the stream, sorted; none if they are not known.

    Returns:
        :obj:`None` if the ids do not tell: they are those of another server, or several
        positions differ, as they do after a gap.
    """
    if len(channels) == 1:
        return channels[0]
    try:
        old, new = Positions.parse(before, channels), Positions.parse(after, channels)
    except InvalidStreamIdError:
        return None
    moved = [name for name in channels if _state(old, name) != _state(new, name)]
    return moved[0] if len(moved) == 1 else None


def _state(positions: Positions, channel: str) -> tuple[object, ...]:
    return (
        positions[channel],
        positions.replayed.get(channel),
        channel in positions.untold,
    )


def _is_json(data: str) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True
