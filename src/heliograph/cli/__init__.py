"""
The command ``heliograph``: arguments in, exit code out.

Importing this module needs the standard library only: if something that the command needs
is not installed, :func:`main` reports it in one line.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command.

    Args:
        arguments: The arguments after the command's name; :obj:`None` for those of the
            process.

    Returns:
        The exit code: 0 for success, 1 for an error, 2 for wrong usage, 130 after Ctrl-C;
        a command may define others. An error is one line on stderr.
    """
    try:
        import click  # noqa: F401, PLC0415 - to report that it is missing

        from .group import run  # noqa: PLC0415 - needs click

        return run(arguments)
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print(
            "heliograph: the command needs click: pip install 'heliograph[cli]'",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:  # while modules are imported; click turns others into Abort
        return 130
