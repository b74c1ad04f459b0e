"""The two forms in which ``heliograph channels`` prints channels."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from ..channels.entry import id_after
from ..channels.position import Positions
from .output import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..brokers import ChannelSummary, Entry

__all__ = ["ChannelPrinter", "JsonChannels", "PrettyChannels"]

# Titles and widths. The name comes last, since only it may be of any length: so lines are
# printed as they arrive, however many channels there are.
_COLUMNS = (
    ("EVENTS", 9),
    ("HEAD", 9),
    ("OLDEST", 7),
    ("RETAINED", 8),
    ("SIZE", 9),
    ("STATE", 5),
    ("LISTENERS", 9),
)
_GAP = "  "

# Data of an event that a person sees; programs get all.
_SHOWN_CHARACTERS = 1_000

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


class ChannelPrinter(Protocol):
    """Prints what was found to stdout."""

    def listed(self, summary: ChannelSummary) -> None:
        """Print a channel of the list."""
        ...

    def shown(
        self, summary: ChannelSummary, newest: Sequence[Entry], processes: int | None
    ) -> None:
        """Print a channel with its newest events, and how many use the storage."""
        ...

    def end(self, count: int, processes: int | None) -> None:
        """Print what is known of the list as a whole."""
        ...


class JsonChannels(ChannelPrinter):
    """Prints each channel as a line of JSON."""

    def listed(self, summary: ChannelSummary) -> None:
        """Print a channel."""
        self._print(_fields(summary))

    def shown(
        self, summary: ChannelSummary, newest: Sequence[Entry], processes: int | None
    ) -> None:
        """Print a channel with its newest events."""
        events = [_event_fields(entry) for entry in newest]
        self._print({**_fields(summary), "processes": processes, "newest": events})

    def end(self, count: int, processes: int | None) -> None:
        """Print nothing: each line is a channel."""

    @staticmethod
    def _print(fields: dict[str, Any]) -> None:
        # RFC 8259 section 8.1: UTF-8, whatever the locale is.
        sys.stdout.buffer.write(json.dumps(fields, ensure_ascii=False).encode() + b"\n")


def _fields(summary: ChannelSummary) -> dict[str, Any]:
    return {
        "channel": summary.name,
        "events": summary.events,
        "head": summary.head.offset,
        # What --since and Last-Event-ID take to begin after the head.
        "id": Positions({summary.name: summary.head}).id,
        "oldest": _iso(summary.oldest_at),
        "retained": summary.retained,
        "size_bytes": summary.size_bytes,
        "ended": summary.has_ended,
        "listeners": summary.listeners,
    }


def _event_fields(entry: Entry) -> dict[str, Any]:
    # The first five as ``heliograph listen`` prints them.
    return {
        "id": id_after((entry,)),
        "channel": entry.channel,
        "type": entry.event.type or "message",
        "data": entry.event.data,
        "time": _iso(entry.published_at),
        "offset": entry.position.offset,
        "retained_as": entry.retained_as,
        "ends": entry.is_end,
    }


class PrettyChannels(ChannelPrinter):
    """Prints channels as lines for people, with the name at the end."""

    def __init__(self) -> None:
        # Imported only for people: it takes longer than the rest of the command.
        from rich.console import Console  # noqa: PLC0415
        from rich.filesize import decimal  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        self._console = Console(highlight=False, markup=False, emoji=False)
        self._size = decimal
        self._text = Text
        self._has_titles = False

    def listed(self, summary: ChannelSummary) -> None:
        """Print a channel, and the titles before the first."""
        if not self._has_titles:
            self._has_titles = True
            titles = self._row([title for title, _ in _COLUMNS])
            self._print(self._text(f"{titles}CHANNEL", style="bold"))
        line = self._text(self._row(self._cells(summary)))
        self._print(line.append(visible(summary.name), style="cyan"))

    def shown(
        self, summary: ChannelSummary, newest: Sequence[Entry], processes: int | None
    ) -> None:
        """Print what is known of a channel, a fact in a line, and its newest events."""
        self._print(self._text(visible(summary.name), style="bold cyan"))
        for (title, _), cell in zip(_COLUMNS, self._cells(summary), strict=True):
            self._print(
                self._text(f"{_GAP}{title.lower():9} ", style="dim").append(cell, "not dim")
            )
        if processes is not None:
            self._print(self._text(f"{_GAP}{_used_by(processes)}", style="dim"))
        for entry in newest:
            self._event(entry)

    def end(self, count: int, processes: int | None) -> None:
        """Print how many channels there are, and who uses the storage."""
        if not count:
            return
        text = f"{count:,} channel{'s' * (count != 1)}"
        if processes is not None:
            text += f"; {_used_by(processes)}"
        self._print(self._text(text, style="dim"))

    def _cells(self, summary: ChannelSummary) -> list[str]:
        age = None if summary.oldest_at is None else time.time() - summary.oldest_at
        size, listeners = summary.size_bytes, summary.listeners
        return [
            f"{summary.events:,}",
            f"{summary.head.offset:,}",
            "-" if age is None else _age(age),
            f"{summary.retained:,}",
            "?" if size is None else self._size(size),
            "ended" if summary.has_ended else "open",
            "?" if listeners is None else f"{listeners:,}",
        ]

    @staticmethod
    def _row(cells: Iterable[str]) -> str:
        pairs = zip(cells, _COLUMNS, strict=True)
        return "".join(f"{cell:>{width}}{_GAP}" for cell, (_, width) in pairs)

    def _event(self, entry: Entry) -> None:
        data = entry.event.data
        shown = visible(data[:_SHOWN_CHARACTERS]).replace("\n", "\n    ")
        time_of = _time(entry.published_at)
        when = "?" if time_of is None else f"{time_of.astimezone():%Y-%m-%d %H:%M:%S}"
        line = self._text(f"{entry.position.offset:,} {when} ", style="dim")
        line.append(visible(entry.event.type or "message") + " ", style="not dim green")
        line.append(shown, style="not dim")
        if len(data) > _SHOWN_CHARACTERS:
            line.append(f" … of {len(data):,} characters; --json prints all")
        self._print(line)

    def _print(self, line: Any) -> None:
        # The terminal wraps: what is copied from it has no line ends of ours.
        self._console.print(line, soft_wrap=True)


def _time(seconds: float) -> datetime | None:
    """Return a time; :obj:`None` if a wrong clock has left one that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _iso(seconds: float | None) -> str | None:
    found = None if seconds is None else _time(seconds)
    return None if found is None else found.isoformat(timespec="milliseconds")


def _used_by(processes: int) -> str:
    return (
        "1 process uses the storage"
        if processes == 1
        else f"{processes:,} processes use the storage"
    )


def _age(seconds: float) -> str:
    # A clock of another machine may be ahead.
    seconds = max(0.0, seconds)
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
