"""The command ``heliograph doctor``: why does nothing arrive."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ..errors import ConfigError
from .output import keep_quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["command"]

_PATIENT_SECONDS = 330.0  # longer than a limit of five minutes, which is common
_EXAMPLES = """\
Examples:

\b
  heliograph doctor https://app.example/stream
  heliograph doctor https://api.example/stream --origin https://app.example
  heliograph doctor http://localhost:8000/stream --publish redis://localhost:6379/0

The exit code is 0 if all is well, 1 for warnings, 2 if something is broken or an argument
is wrong."""


@click.command("doctor", epilog=_EXAMPLES)
@click.argument("url")
@click.option(
    "--origin",
    metavar="ORIGIN",
    help="The origin of the page that listens, such as https://app.example, to check CORS.",
)
@click.option(
    "--credentials", is_flag=True, help="The page sends cookies (withCredentials)."
)
@click.option(
    "-H",
    "--header",
    "headers",
    metavar="'NAME: VALUE'",
    multiple=True,
    help="Another header of the requests. May be given more than once; is never shown.",
)
@click.option(
    "--publish",
    "broker",
    metavar="BROKER",
    help="Publish test events of the type heliograph-doctor to this storage, and measure"
    " when they arrive. Clients of the channel get them, too.",
)
@click.option(
    "--channel",
    metavar="NAME",
    help="The channel to publish to. Default: the stream's first.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=10.0,
    show_default=True,
    help="How long to wait for the head of a response.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to wait for a heartbeat at most. Default: until one is due.",
)
@click.option(
    "--watch",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=0.0,
    help="Watch the stream for this long, to find a limit of the whole time.",
)
@click.option(
    "--patient", is_flag=True, help=f"The same as --watch {_PATIENT_SECONDS:.0f}."
)
@click.option("--insecure", is_flag=True, help="Go on if the certificate is not valid.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    *,
    url: str,
    origin: str | None,
    credentials: bool,
    headers: Sequence[str],
    broker: str | None,
    channel: str | None,
    timeout: float,
    wait: float | None,
    watch: float,
    patient: bool,
    insecure: bool,
    as_json: bool,
) -> None:
    """Find out why no events arrive from URL."""
    from ..doctor import Target, judge  # noqa: PLC0415 - --help needs none of it
    from .doctor_output import exit_code, print_findings, print_json, watched  # noqa: PLC0415

    try:
        target = Target(
            url=url,
            origin=origin,
            credentials=credentials,
            headers=tuple(_header(one) for one in headers),
            broker=broker,
            channel=channel,
            timeout_seconds=timeout,
            wait_seconds=wait,
            patient_seconds=max(watch, _PATIENT_SECONDS if patient else 0.0),
            verify=not insecure,
        )
    except ConfigError as error:
        raise click.UsageError("; ".join(str(error).splitlines())) from error
    # What it would log of a broker that is unavailable is part of a finding.
    keep_quiet()
    findings = judge(watched(target, is_shown=not as_json and sys.stderr.isatty()))
    if as_json:
        print_json(target, findings)
    else:
        print_findings(target, findings)
    raise click.exceptions.Exit(exit_code(findings))


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        # It may be a secret alone, so it is not repeated.
        raise click.UsageError(
            "a --header must be 'NAME: VALUE': there is one without a colon"
        )
    return name.strip(), value.strip()
