"""
``heliograph channels``: what channels a broker's storage has, and the newest events of one.

The broker is inspected and not opened (:mod:`heliograph.brokers.inspection`): the command
may be used on storage in production, where it changes nothing. A publisher would open a
hub, which makes a file, removes what is too old and listens to the commands of others.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from ..brokers import inspect_broker, without_password
from ..channels.names import check_channel
from .channel_lines import JsonChannels, PrettyChannels
from .output import discard_output, log_to_stderr, note
from .targets import broker_url, is_web

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ..brokers import Inspection
    from .channel_lines import ChannelPrinter

__all__ = ["command"]

_LAST = 10
_MOST = 1_000_000  # databases have integers of 64 bits only


@click.command(
    epilog="""\b
    Examples:
      heliograph channels redis://127.0.0.1:6379/0
      heliograph channels sqlite:////srv/app/events.db --prefix job:
      heliograph channels sqlite:////srv/app/events.db job:7 --last 3
      heliograph channels redis://127.0.0.1:6379/0 | jq -r 'select(.ended) | .channel'
    """
)
@click.argument("broker")
@click.argument("name", required=False)
@click.option("--prefix", help="Only channels whose names begin with this text.")
@click.option(
    "--last",
    type=click.IntRange(0, _MOST),
    metavar="N",
    help=f"Show so many of the newest events of NAME.  [default: {_LAST}]",
)
@click.option("--json", "as_json", is_flag=True, help="Lines of JSON also in a terminal.")
def command(
    broker: str, name: str | None, prefix: str | None, last: int | None, *, as_json: bool
) -> None:
    """
    List the channels of a broker, or show one of them.

    BROKER is the URL of the storage that the application has: redis://… or sqlite:///…. It
    is only read: nothing is created or removed, and no channel is kept longer for it.

    Without NAME each channel is a line: its number of events, its head (the number of its
    newest event), the age of the oldest event, the number of retained events, the size,
    whether it has ended, and how many processes listen to it. With NAME these are shown for
    one channel, and its newest events.

    In a terminal the output is for people. Otherwise it is lines of JSON.
    """
    log_to_stderr()
    if name is None and last is not None:
        raise click.UsageError("--last needs a channel; write its name after the broker")
    if name is not None and prefix is not None:
        raise click.UsageError("--prefix is for the list; leave it out, or the name")
    storage = _storage(broker)
    is_pretty = sys.stdout.isatty() and not as_json
    show: ChannelPrinter = PrettyChannels() if is_pretty else JsonChannels()
    try:
        if name is None:
            asyncio.run(_list(storage, prefix or "", show))
        else:
            limit = _LAST if last is None else last
            asyncio.run(_show_one(storage, check_channel(name), limit, show))
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()


def _storage(url: str) -> AbstractAsyncContextManager[Inspection]:
    if is_web(url):
        raise click.UsageError(
            f"{without_password(url)!r} is the URL of a stream; write that of the"
            " application's broker: redis://host:6379/0 or sqlite:////absolute/path"
        )
    return inspect_broker(broker_url(url))


async def _list(
    inspecting: AbstractAsyncContextManager[Inspection], prefix: str, show: ChannelPrinter
) -> None:
    count = 0
    async with inspecting as storage:
        async with aclosing(storage.channels(prefix)) as found:
            async for summary in found:
                count += 1
                show.listed(summary)
        processes = await storage.processes()
    if not count:
        which = f"that begins with {prefix!r}" if prefix else "in this storage"
        note(f"no channel {which}: a channel begins with its first event")
    show.end(count, processes)


async def _show_one(
    inspecting: AbstractAsyncContextManager[Inspection],
    name: str,
    limit: int,
    show: ChannelPrinter,
) -> None:
    async with inspecting as storage:
        summary = await storage.channel(name)
        newest = await storage.newest(name, limit) if limit else ()
        processes = await storage.processes()
    if summary is None:
        raise click.ClickException(
            f"there is no channel {name!r}: nothing was published to it, or it was"
            " forgotten; leave out the name to list all channels"
        )
    show.shown(summary, newest, processes)
