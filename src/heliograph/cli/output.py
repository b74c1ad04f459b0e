"""
What the commands have in common about their output.

Results go to stdout. Everything that is said about them goes to stderr, as lines that begin
with ``heliograph:``, so that a program that reads stdout gets results alone.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import select
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "discard_output",
    "keep_quiet",
    "log_to_stderr",
    "note",
    "note_to_person",
    "open_missing_streams",
    "visible",
    "when_output_closes",
]

_LAST_BYTE = 0xFF

# C0 except tab and line feed, DEL and C1. A terminal obeys some of them: an event must not
# be able to move the cursor, set the title, or answer for the person at the keyboard. And
# the characters that change the direction of writing: one in an event would turn around
# what stands beside it.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def note(message: object) -> None:
    """
    Print a line to stderr, after ``heliograph:``.

    Args:
        message: Any value; the line ends of its text become ``"; "``.
    """
    print("heliograph:", visible("; ".join(str(message).splitlines())), file=sys.stderr)


def note_to_person(message: object) -> None:
    """
    Print a line to stderr if a person reads it there.

    Args:
        message: As for :func:`note`.
    """
    if sys.stderr is not None and sys.stderr.isatty():
        note(message)


def visible(text: str) -> str:
    r"""
    Return text in which no character controls the terminal.

    Args:
        text: Any text. Control characters are replaced by their escape sequences, such as
            ``\x1b``; tabs and line feeds are kept.
    """
    return _CONTROL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number <= _LAST_BYTE else f"\\u{number:04x}"


class _Notes(logging.Handler):
    """Writes a log record as one line, with its exception but without a traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        note(f"{record.getMessage()}: {error}" if error else record.getMessage())


def log_to_stderr() -> None:
    """Print warnings and errors of the library as lines of the command."""
    logger = logging.getLogger("heliograph")
    logger.handlers = [_Notes(logging.WARNING)]
    logger.propagate = False


def keep_quiet() -> None:
    """
    Print no log lines.

    For commands that end at the first failure: its error says the same in one line.
    """
    logger = logging.getLogger("heliograph")
    logger.handlers = [logging.NullHandler()]
    logger.propagate = False


def open_missing_streams() -> None:
    """
    Prepare the standard streams, of which the caller of the process may have closed some.

    Their numbers must not become those of a database or a socket, and what is printed to
    one that is closed must not go to the other. Characters that the encoding of a stream
    does not have are printed as escape sequences.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - until the process ends
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - likewise
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Send what is still to be written to stdout nowhere: its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextlib.contextmanager
def when_output_closes(function: Callable[[], None]) -> Iterator[None]:
    """
    Call a function, in another thread, when the reader of stdout has gone.

    A write would tell so, too. But a command that waits for an event may wait long for its
    next write, and ``heliograph listen … | head -1`` would seem to hang.

    Args:
        function: Is called at most once.
    """
    end, ending = os.pipe()
    poll = select.poll()
    # No events are asked for: errors are always reported. A file and a terminal have none.
    poll.register(sys.stdout.fileno(), 0)
    poll.register(end, 0)

    def watch() -> None:
        if any(descriptor != end for descriptor, _ in poll.poll()):
            function()

    thread = threading.Thread(target=watch, name="heliograph-output", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(ending)
        thread.join()
        os.close(end)
