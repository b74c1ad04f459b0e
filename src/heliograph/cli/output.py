"""
What the commands have in common about their output.

Results go to stdout. Everything that is said about them goes to stderr, as lines that begin
with ``heliograph:``, so that a program that reads stdout gets results alone.
"""

from __future__ import annotations

import contextlib
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
    "visible",
    "when_output_closes",
]

# C0 except tab and line feed, DEL and C1. A terminal obeys some of them: an event must not
# be able to move the cursor, set the title, or answer for the person at the keyboard.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def note(message: object) -> None:
    """
    Print a line to stderr, after ``heliograph:``.

    Args:
        message: Any value; the line ends of its text become ``"; "``.
    """
    print("heliograph:", visible("; ".join(str(message).splitlines())), file=sys.stderr)


def visible(text: str) -> str:
    r"""
    Return text in which no character controls the terminal.

    Args:
        text: Any text. Control characters are replaced by their escape sequences, such as
            ``\x1b``; tabs and line feeds are kept.
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


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
