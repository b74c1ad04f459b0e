"""
The command ``heliograph``: arguments in, exit code out.

Nothing here needs an extra: a missing one is reported by the command that needs it.
"""

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
        arguments: The arguments after the command's name; :obj:`None` for those of the
            process.

    Returns:
        The exit code: 0 for success, 1 for an error, which is printed to stderr.

    Raises:
        SystemExit: With 2 for invalid arguments, with 0 after ``--help`` and ``--version``.
    """
    options = _parser().parse_args(arguments)
    try:
        from .demo.run import DemoError, run  # noqa: PLC0415 - needs the extra flask
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
        description="Serve a page on one port of this machine and a Flask API on another,"
        " and publish events for the page to show. Cut its connection or kill the API:"
        " every event arrives exactly once. Stop the demo with Ctrl-C.",
    )
    demo.add_argument(
        "--port", type=_port, default=8000, help="the page's port (default: %(default)s)"
    )
    demo.add_argument(
        "--api-port", type=_port, default=8001, help="the API's port (default: %(default)s)"
    )
    demo.add_argument(
        "--folder",
        help="folder to keep the events in (default: one that is removed at the end)",
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _LARGEST_PORT:
        raise argparse.ArgumentTypeError(
            f"invalid port {text!r}: must be a number from 1 to {_LARGEST_PORT}"
        )
    return int(text)
