"""Standard input as lines that are counted, and a bar that shows how far they have come."""

from __future__ import annotations

import os
import stat
import sys
import time
from typing import TYPE_CHECKING, BinaryIO

import click

from .output import note

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress, TaskID

__all__ = ["Bar", "Lines"]

# A bar that is gone before it is read is only flicker.
_SHOWN_AFTER_SECONDS = 1.0


class Lines:
    """
    The lines of a file or pipe.

    Args:
        stream: Of bytes, so that a line that is not UTF-8 can be named.

    Attributes:
        number: How many lines were read.
        taken_bytes: How many bytes were read.
        size_bytes: The size of a file; :obj:`None` of a pipe and a terminal.
    """

    def __init__(self, stream: BinaryIO) -> None:
        status = os.fstat(stream.fileno())
        self.number = 0
        self.taken_bytes = 0
        self.size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None
        self._stream = stream

    def skip(self, count: int) -> None:
        """
        Read lines and drop them.

        Args:
            count: How many, 0 or more.

        Raises:
            click.UsageError: There are fewer.
        """
        while self.number < count:
            if self._read() is None:
                raise click.UsageError(
                    f"--skip {count} is more than the {self.number} lines of standard input"
                )

    def read(self) -> str | None:
        """
        Return the next line without its line end (LF or CRLF), :obj:`None` after the last.

        Raises:
            click.ClickException: The line is not UTF-8.
        """
        line = self._read()
        if line is None:
            return None
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            raise click.ClickException(
                f"line {self.number} is not UTF-8: the byte 0x{line[error.start]:02x} at"
                f" column {error.start + 1}; convert the input with iconv"
            ) from error

    def _read(self) -> bytes | None:
        line = self._stream.readline()
        if not line:
            return None
        self.number += 1
        self.taken_bytes += len(line)
        return line


class Bar:
    """
    A block in which a person sees how many lines are done, and how fast.

    It is drawn on stderr, if that is a terminal, when the block has lasted a second.

    Args:
        lines: What is being read.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._begun = time.monotonic()
        self._first = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._is_watched = sys.stderr.isatty()

    def __enter__(self) -> Self:
        self._first = self._lines.number
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            count, seconds = self._lines.number - self._first, self._seconds()
            note(f"{count:,} lines in {seconds:.1f} s, {count / seconds:,.0f} a second")

    def advance(self) -> None:
        """Show that the last line that was read is done."""
        if not self._is_watched:
            return
        if self._bar is None:
            if self._seconds() < _SHOWN_AFTER_SECONDS:
                return
            self._bar, self._task = self._new_bar()
            self._bar.start()
        assert self._task is not None  # noqa: S101 - made with the bar
        count = self._lines.number - self._first
        self._bar.update(
            self._task,
            completed=self._lines.taken_bytes,
            lines=f"{count:,} lines, {count / self._seconds():,.0f} a second",
        )

    def _seconds(self) -> float:
        return time.monotonic() - self._begun

    def _new_bar(self) -> tuple[Progress, TaskID]:
        from rich.console import Console  # noqa: PLC0415 - only for people
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = [TextColumn("{task.fields[lines]}")]
        if self._lines.size_bytes is None:
            bar = Progress(*columns, console=Console(stderr=True), transient=True)
        else:
            bar = Progress(
                BarColumn(),
                TextColumn("{task.percentage:3.0f} %"),
                TimeRemainingColumn(),
                *columns,
                console=Console(stderr=True),
                transient=True,
            )
        return bar, bar.add_task("", total=self._lines.size_bytes, lines="")
