"""docs/cli.md: its examples are run, and what it lists is all that there is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from heliograph.cli import channels, listen, publish
from heliograph.cli.group import COMMANDS

TEXT = (Path(__file__).parents[2] / "docs/cli.md").read_text()
EXAMPLES = re.findall(r"^\$ (.*)\n((?:(?!\$ |```).*\n)*)", TEXT, re.MULTILINE)


def test_examples(tmp_path):
    """Each command of the page prints what the page shows; ``…`` stands for any text."""
    assert len(EXAMPLES) > 5
    for command, shown in EXAMPLES:
        done = subprocess.run(
            [
                "bash",
                "-c",
                f'heliograph() {{ {sys.executable} -m heliograph "$@"; }}; {command}',
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
            timeout=30,
            check=False,
        )

        pattern = ".+".join(map(re.escape, shown.split("…")))
        assert re.fullmatch(pattern, done.stdout), (command, done.stdout)


def test_every_command_is_documented():
    """And no other."""
    assert set(re.findall(r"^\| `heliograph (\w+)", TEXT, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("module", [channels, listen, publish])
def test_every_option_is_documented(module):
    """Those that are in every command apart; ``--help`` explains each, too."""
    for parameter in module.command.params:
        if isinstance(parameter, click.Option):
            # --skip and --header are explained with their use.
            assert f"`{parameter.opts[0]}" in TEXT, parameter.opts
            assert parameter.help


# (shell, what its script does)
SHELLS = [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --no-files")]


@pytest.mark.parametrize(("shell", "words"), SHELLS)
def test_completion(shell, words):
    """The line of the page prints a script, and the script asks for the commands."""
    assert f"_HELIOGRAPH_COMPLETE={shell}_source heliograph" in TEXT

    def ask(**variables):
        return subprocess.run(
            [sys.executable, "-m", "heliograph"],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert words in ask(_HELIOGRAPH_COMPLETE=f"{shell}_source")
    found = ask(
        _HELIOGRAPH_COMPLETE=f"{shell}_complete",
        COMP_WORDS="heliograph pu",
        COMP_CWORD="pu" if shell == "fish" else "1",
    )
    assert "publish" in found
    assert "listen" not in found
