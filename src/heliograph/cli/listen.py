"""``heliograph listen``: the events of a stream or of a broker's channels, until Ctrl-C."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from .interrupts import Interrupts
from .output import discard_output, keep_quiet, log_to_stderr, note, when_output_closes
from .received import JsonLines, Pretty, Received, channel_between
from .sources import BrokerSource, Since, WebSource, header_fields
from .targets import announce_new_file, broker_url, is_web

if TYPE_CHECKING:
    from .received import Printer
    from .sources import Source

__all__ = ["command"]

# Shown whatever --type says: who filters must not take a hole for silence.
_GAP = "heliograph.gap"
_END = "heliograph.end"


@click.command(
    epilog="""\b
    Examples:
      heliograph listen http://127.0.0.1:8000/stream --channel news
      heliograph listen redis://127.0.0.1:6379/0 --channel job:7 --since start
      heliograph listen sqlite:////srv/app/events.db --channel news | jq -r .data
    """
)
@click.argument("url", metavar="URL|BROKER")
@click.option(
    "--channel", "-c", "channels", multiple=True, help="A channel; may be given repeatedly."
)
@click.option(
    "--since",
    metavar="ID|start|last|now",
    help="Begin after this id, with the oldest event, with the newest one, or with what is"
    " published from now on.  [default: with what is retained]",
)
@click.option(
    "--type", "-t", "types", multiple=True, help="Only events of this type; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Lines of JSON also in a terminal.")
@click.option(
    "--header",
    "-H",
    "headers",
    metavar="'NAME: VALUE'",
    multiple=True,
    help="A header of each request to a URL; repeatable.",
)
def command(
    url: str,
    channels: tuple[str, ...],
    since: str | None,
    types: tuple[str, ...],
    *,
    as_json: bool,
    headers: tuple[str, ...],
) -> None:
    """
    Print the events of a stream or of a broker's channels.

    URL is the address of a stream, of Heliograph or any other server. BROKER is the URL of
    the storage that the application has: redis://… or sqlite:///….

    In a terminal each event is a line for people. Otherwise it is a line of JSON with the
    fields id, channel, type, data and time. Ctrl-C ends it and prints the last id to
    stderr: --since with that id continues there.
    """
    keep_quiet()
    position = Since.parse(since)
    source: Source
    if is_web(url):
        source = WebSource(url, channels, position, header_fields(headers))
    else:
        source = BrokerSource(_checked(url, channels, headers), channels, position)
    is_pretty = sys.stdout.isatty() and not as_json
    listening = _Listening(source, {*types}, Pretty() if is_pretty else JsonLines())
    with Interrupts() as interrupts:
        listening.run(interrupts)


def _checked(url: str, channels: tuple[str, ...], headers: tuple[str, ...]) -> str:
    if headers:
        raise click.UsageError("--header is for streams of a URL; a broker takes none")
    url = broker_url(url)
    if not channels:
        raise click.UsageError("a broker needs a channel; write --channel NAME")
    announce_new_file(url)
    return url


class _Listening:
    """
    Prints events, and remembers how far it has come.

    Args:
        source: The events.
        types: Those that are printed; none for all.
        show: Prints an event.
    """

    def __init__(self, source: Source, types: set[str], show: Printer) -> None:
        self._source = source
        self._types = types
        self._show = show
        # The id of the last event that was printed or left out; None if there was none. Not
        # that of the source, which may have an event already that is not printed yet.
        self._position: str | None = None
        self._has_reader = True

    def run(self, interrupts: Interrupts) -> None:
        """Print all events until Ctrl-C, the end of the stream, or that of stdout."""
        with ExitStack() as stack:
            try:
                with interrupts.waiting():
                    stack.enter_context(self._source)
                # Now failures are interruptions, which the library logs and mends.
                log_to_stderr()
                stack.enter_context(when_output_closes(self._on_output_closed))
                self._print(interrupts)
            except KeyboardInterrupt:
                # Past the ^C that the terminal shows.
                if sys.stderr.isatty():
                    print(file=sys.stderr)
            except BrokenPipeError:
                self._has_reader = False
            finally:
                # Whatever ends it, also an error.
                position = self._where()
                if self._has_reader and position:
                    note(f"continue with --since {shlex.quote(position)}")
        if not self._has_reader:
            discard_output()

    def _print(self, interrupts: Interrupts) -> None:
        while True:
            with interrupts.waiting():
                event = next(self._source, None)
            if event is None:
                break
            self._take(*event)
        if self._has_reader:
            note("the stream has ended: nothing more comes in its channels")

    def _where(self) -> str:
        return self._source.position if self._position is None else self._position

    def _take(self, kind: str, data: str, id: str) -> None:
        if kind == _END:
            note(f"a channel has ended: {data}")
        elif not self._types or kind in self._types or kind == _GAP:
            channel = channel_between(self._where(), id, self._source.channels)
            self._show(Received(id, channel, kind, data, datetime.now(UTC)))
        self._position = id

    def _on_output_closed(self) -> None:
        self._has_reader = False
        self._source.close()
