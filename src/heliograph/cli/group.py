"""
The group of the commands, and how a command ends.

A command is a module of this package with the name of the command, which has a
:class:`click.Command` named ``command``. It is imported when the command is run or its help
is shown, and not before: so each command needs only what it uses, and ``heliograph --help``
and shell completion are fast.

Commands raise :class:`click.UsageError` for wrong arguments, an error of Heliograph or
:class:`click.ClickException` for everything else that is worth one line, and
:class:`click.exceptions.Exit` for an exit code of their own.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from .. import __version__
from ..errors import BrokerUnavailableError, HeliographError, InvalidFieldError
from .output import note, open_missing_streams

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "run"]

COMMANDS = {
    "channels": "List the channels of a broker, or show one of them.",
    "demo": "Serve a page and an API on two origins, with live events.",
    "doctor": "Find out why no events arrive from a URL.",
    "listen": "Print the events of a stream or of a broker's channels.",
    "publish": "Publish an event, or one for each line of standard input.",
}
"""The commands by their names, each with the sentence that describes it in the list."""

_WRONG_USAGE = 2
_INTERRUPTED = 130  # what shells report for a process that SIGINT has ended: 128 + 2


class _Group(click.Group):
    """A group that imports a command when it is used, and lists all without that."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{cmd_name}", __package__)
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS:
            nearest = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise click.UsageError(f"no such command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = [
            CompletionItem(name, help=sentence)
            for name, sentence in sorted(COMMANDS.items())
            if name.startswith(incomplete)
        ]
        # The group's own method imports each command, to ask whether it is hidden.
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


_group = _Group(
    "heliograph",
    help="Push events from Python to browsers: publish, listen, find out what is wrong.",
    epilog="""\b
    Examples:
      heliograph listen http://127.0.0.1:8000/stream
      heliograph publish redis://127.0.0.1:6379/0 news 'Hello, world'
      heliograph channels sqlite:////srv/app/events.db

    heliograph COMMAND --help shows the options of a command, and more examples.
    """,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
    no_args_is_help=False,
)
_group = click.version_option(__version__, message="%(version)s")(_group)


def run(arguments: Sequence[str] | None) -> int:
    """
    Run the command that the arguments name.

    Args:
        arguments: As for :func:`heliograph.cli.main`.

    Returns:
        The exit code.
    """
    open_missing_streams()
    try:
        # Without the standalone mode click returns the code of an Exit.
        code = _group.main(arguments, prog_name="heliograph", standalone_mode=False)
    except click.Abort:
        return _INTERRUPTED
    except (click.ClickException, HeliographError, ModuleNotFoundError, OSError) as error:
        note(_sentence(error))
        return _code(error)
    return code if isinstance(code, int) else 0


def _code(error: Exception) -> int:
    if isinstance(error, click.ClickException):
        return error.exit_code
    return _WRONG_USAGE if isinstance(error, InvalidFieldError) else 1


def _sentence(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, BrokerUnavailableError):
        is_server = "://" in error.resource
        what = "it runs" if is_server else "no other program keeps the file locked"
        return f"{error}; check that {what}, and that the application uses the same URL"
    if isinstance(error, ModuleNotFoundError):
        return _missing(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'input or output has failed'}: {error.strerror}"
    return str(error)


def _usage(error: click.ClickException) -> str:
    if not isinstance(error, click.UsageError):
        return error.format_message()
    path = error.ctx.command_path if error.ctx else "heliograph"
    message = error.format_message().rstrip(".")
    # click begins with a capital; the name of an argument stays as it is.
    if message[1:2].islower():
        message = message[0].lower() + message[1:]
    return f"{message}; {path} --help shows the usage"


def _missing(error: ModuleNotFoundError) -> str:
    if "pip install" in str(error):  # it names its extra
        return str(error)
    if (error.name or "").startswith("heliograph"):
        raise error
    return f"the command needs {error.name}: pip install 'heliograph[cli]'"
