"""``heliograph demo``: needs Flask, and nothing of the extra ``cli`` but click."""

from __future__ import annotations

import click

__all__ = ["command"]

_LARGEST_PORT = 65_535


def _port(ctx: click.Context, param: click.Parameter, text: str) -> int:  # noqa: ARG001 - click's
    # isdecimal: a superscript two is a digit, at which int() would raise.
    if not text.isdecimal() or not 1 <= int(text) <= _LARGEST_PORT:
        raise click.BadParameter(f"{text!r} must be a number from 1 to {_LARGEST_PORT}")
    return int(text)


@click.command
@click.option(
    "--port",
    metavar="PORT",
    callback=_port,
    default="8000",
    show_default=True,
    help="The page's port.",
)
@click.option(
    "--api-port",
    metavar="PORT",
    callback=_port,
    default="8001",
    show_default=True,
    help="The API's port.",
)
@click.option(
    "--folder",
    metavar="FOLDER",
    help="Folder to keep the events in.  [default: one that is removed at the end]",
)
def command(port: int, api_port: int, folder: str | None) -> None:
    """
    Serve a page and an API on two origins, with live events.

    The page is on one port of this machine and a Flask API on another, and events are
    published for the page to show. Cut its connection or kill the API: every event arrives
    exactly once. Stop the demo with Ctrl-C.
    """
    from ..demo.run import run  # noqa: PLC0415 - needs the extra flask

    run(page_port=port, api_port=api_port, folder=folder)
