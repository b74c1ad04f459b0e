"""``heliograph publish``: an event, or one for each line of standard input."""

from __future__ import annotations

import json
import secrets
import shlex
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Never

import click

from ..config import HubConfig
from ..errors import ConfigError, HeliographError
from .interrupts import Interrupts
from .lines import Bar, Lines
from .output import keep_quiet, note
from .targets import announce_new_file, broker_url, is_web

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..publisher import Publisher

__all__ = ["command", "config_of"]

_INTERRUPTED = 130

_NUMBER = click.IntRange(max=1_000_000_000)  # databases have integers of 64 bits only
_BOUNDS = [
    ("--history-events", _NUMBER, "Events that the channel keeps."),
    ("--history-seconds", float, "Seconds that the channel keeps an event."),
    ("--forget-seconds", float, "Seconds after which an unused channel is forgotten."),
    ("--retained-keys", _NUMBER, "Largest number of events that the channel retains."),
    (
        "--max-event-bytes",
        click.IntRange(max=100_000_000),
        "Largest size of an encoded event in bytes.",
    ),
]

_YEAR_SECONDS = 366 * 86_400.0
# Whoever publishes to a channel removes what is beyond its own bounds, and those of the
# application are not known here. Nothing is removed: its next publish applies its own. The
# defaults instead would remove history of an application that keeps more.
_KEEPING = {
    "history_events": 1_000_000_000,
    "history_seconds": _YEAR_SECONDS,
    "forget_seconds": _YEAR_SECONDS,
}


class _Options(NamedTuple):
    """What is said of each event beside its data."""

    channel: str
    type: str | None
    id: str | None
    is_json: bool
    retain_as: str | None


def _with_bounds(function: Callable[..., None]) -> Callable[..., None]:
    for name, kind, text in reversed(_BOUNDS):
        function = click.option(name, type=kind, metavar="NUMBER", help=text)(function)
    return function


@click.command(
    epilog="""\b
    Examples:
      heliograph publish redis://127.0.0.1:6379/0 news 'Hello, world'
      heliograph publish sqlite:////srv/app/events.db job:7 '{"percent": 50}' --json
      heliograph publish sqlite:////srv/app/events.db news - < headlines.txt
    """
)
@click.argument("broker")
@click.argument("channel")
@click.argument("data", metavar="DATA|-", required=False)
@click.option("--type", "-t", "type_", metavar="TYPE", help="The events' type.")
@click.option("--id", metavar="ID", help="An id of your own, for one event.")
@click.option("--json", "is_json", is_flag=True, help="Check that the data is JSON.")
@click.option(
    "--retain",
    "retain_as",
    metavar="KEY",
    help="Retain the event with this key; '' for the one without a key.",
)
@click.option(
    "--end", is_flag=True, help="End the channel, after the data if there is any."
)
@click.option(
    "--skip", type=click.IntRange(min=0), metavar="N", help="Leave out the first N lines."
)
@click.option(
    "--idempotency-key",
    "key",
    metavar="KEY",
    help="A name of your own for this publish: a repetition stores nothing. Of lines, each"
    " adds its number.",
)
@_with_bounds
def command(
    broker: str,
    channel: str,
    data: str | None,
    type_: str | None,
    id: str | None,
    *,
    is_json: bool,
    retain_as: str | None,
    end: bool,
    skip: int | None,
    key: str | None,
    **bounds: Any,
) -> None:
    """
    Publish an event, or one for each line of standard input.

    BROKER is the URL of the storage that the application has: redis://… or sqlite:///….
    DATA is the event's data; with - each line of standard input is an event. Write --
    before the arguments if DATA begins with a dash.

    The id after the event, or after the last one, is printed. Ctrl-C finishes the line that
    is being published, and prints with which options the rest can be published.

    The last options bound what the channel keeps. Without them nothing is removed, and the
    next publish of the application applies its configuration. Set them for a channel that
    only this command publishes to.
    """
    keep_quiet()
    if data is None and not end:
        raise click.UsageError("missing DATA; write the data, or - for standard input")
    if data != "-" and skip is not None:
        raise click.UsageError("--skip leaves out lines; write - as DATA")
    if data == "-" and id is not None:
        raise click.UsageError("--id is the id of one event; leave it out with -")
    config = _config(bounds)
    url = _broker(broker)
    announce_new_file(url)
    from ..publisher import Publisher  # noqa: PLC0415 - with it comes the hub

    options = _Options(channel, type_, id, is_json, retain_as)
    with Publisher(url, config=config) as publisher:
        if data == "-":
            last = _publish_lines(publisher, options, skip or 0, key)
            if end:
                last = publisher.end(channel)
        else:
            last = _publish_one(publisher, options, data, key, end=end)
    if last:
        print(last)


def config_of(bounds: dict[str, Any]) -> HubConfig:
    """
    Return the configuration of the publisher.

    Args:
        bounds: Fields and their values; :obj:`None` for what was not given.

    Raises:
        ConfigError: A value is out of range.
    """
    given = {name: value for name, value in bounds.items() if value is not None}
    return HubConfig(**{**_KEEPING, **given})


def _config(bounds: dict[str, Any]) -> HubConfig:
    if bounds["max_event_bytes"] is not None:
        # An event may not be larger than what clients may lag behind. Here are none.
        least = HubConfig().max_lag_bytes
        bounds["max_lag_bytes"] = max(least, bounds["max_event_bytes"])
    try:
        return config_of(bounds)
    except ConfigError as error:
        problems = "; ".join(error.problems)
        for option, _, _ in _BOUNDS:
            problems = problems.replace(option[2:].replace("-", "_"), option)
        raise click.UsageError(problems) from error


def _broker(url: str) -> str:
    if is_web(url):
        raise click.UsageError(
            "the address of a stream is only for reading; write the URL of the broker that"
            " the application has (its SSE_URL, for example redis://host:6379/0), or send a"
            " request to a route of the application that publishes"
        )
    return broker_url(url)


def _publish_one(
    publisher: Publisher, options: _Options, data: str | None, key: str | None, *, end: bool
) -> str:
    if data is not None and options.is_json and (problem := _json_problem(data)):
        raise click.UsageError(
            f"DATA {problem}; quote it for the shell, or leave out --json"
        )
    verb: Callable[..., str] = publisher.end if end else publisher.publish
    return verb(data=data, **_fields(options, key))


def _publish_lines(
    publisher: Publisher, options: _Options, skip: int, key: str | None
) -> str:
    """Publish the lines, and return the id after the last one."""
    # So that the line of which it is not known whether it was stored can be repeated.
    name = key or secrets.token_hex(6)
    if sys.stdin is None:
        raise click.UsageError("standard input is closed; write the data instead of -")
    lines = Lines(sys.stdin.buffer)
    last, done = "", skip
    with Interrupts() as interrupts:
        try:
            with interrupts.waiting():
                lines.skip(skip)
            with Bar(lines) as bar:
                while True:
                    with interrupts.waiting():
                        line = lines.read()
                    if line is None:
                        return last
                    if options.is_json:
                        _check_json(line, lines.number)
                    last = publisher.publish(
                        line, **_fields(options, f"{name}:{lines.number}")
                    )
                    done = lines.number
                    bar.advance()
        except KeyboardInterrupt:
            if sys.stderr.isatty():
                print(file=sys.stderr)
            _stop("stopped", done, name, _INTERRUPTED)
        except click.UsageError:
            raise  # nothing was begun
        except (click.ClickException, HeliographError) as error:
            text = (
                error.format_message() if isinstance(error, click.ClickException) else error
            )
            _stop(f"{text}", done, name, 1)


def _stop(reason: str, done: int, name: str, code: int) -> Never:
    note(reason)
    count = "1 line is" if done == 1 else f"{done} lines are"
    note(
        f"{count} done; publish the others with --skip {done}"
        f" --idempotency-key {shlex.quote(name)}"
    )
    raise click.exceptions.Exit(code)


def _fields(options: _Options, key: str | None) -> dict[str, Any]:
    return {
        "channel": options.channel,
        "type": options.type,
        "id": options.id,
        "retain": options.retain_as is not None,
        "key": options.retain_as or None,
        "idempotency_key": key,
    }


def _check_json(line: str, number: int) -> None:
    if problem := _json_problem(line):
        raise click.ClickException(f"line {number} {problem}")


def _json_problem(text: str) -> str | None:
    """Return what keeps a text from being JSON."""
    try:
        # Browsers read numbers of any length, which int() does not.
        json.loads(text, parse_constant=_refuse, parse_int=str)
    except json.JSONDecodeError as error:
        return f"is not JSON: {error.msg} at column {error.pos + 1}"
    except (ValueError, RecursionError) as error:
        return f"is not JSON that a browser can read: {error}"
    return None


def _refuse(name: str) -> Never:
    raise ValueError(f"it contains {name}")
