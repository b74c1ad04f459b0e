"""The command ``heliograph``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from . import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_LARGEST_PORT = 65_535


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command.

    Args:
        arguments: What follows its name; :obj:`None` for those of the process.

    Returns:
        The exit code: 0 if all went well, 1 if not. Arguments that make no sense end the
        process with 2.
    """
    options = _parser().parse_args(arguments)
    try:
        # Here and not above: it needs the extra.
        from .demo.run import DemoError, run  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        print(f"heliograph: {error}", file=sys.stderr)
        return 1
    try:
        run(page_port=options.port, api_port=options.api_port, folder=options.folder)
    except DemoError as error:
        print(f"heliograph: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="heliograph", description="Push events from Python to browsers."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="a page and an API on two origins, with live events",
        description="Serves a page on one port of this machine and a Flask API on another,"
        " and publishes events for the page to show. Cut its connection or kill the API:"
        " no event is lost, none comes twice. Stop it with Ctrl-C.",
    )
    demo.add_argument(
        "--port", type=_port, default=8000, help="the page's port (default: %(default)s)"
    )
    demo.add_argument(
        "--api-port", type=_port, default=8001, help="the API's port (default: %(default)s)"
    )
    demo.add_argument(
        "--folder",
        help="where to keep the events (default: a folder that is removed afterwards)",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to {_LARGEST_PORT}")
    return int(text)
