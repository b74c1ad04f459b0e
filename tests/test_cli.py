"""The command: its arguments, what it prints, and its exit codes."""

import subprocess
import sys

import pytest

from heliograph import __version__
from heliograph.cli import main

# (arguments, words of the message)
BAD = [
    (["demo", "--port", "0"], "invalid port '0': must be a number from 1 to 65535"),
    (["demo", "--api-port", "65536"], "invalid port '65536'"),
    (["demo", "--port", "x"], "invalid port 'x'"),
    (["demo", "--port", "-1"], "invalid port '-1'"),
    # A digit, but not a decimal one: int() would raise.
    (["demo", "--port", "²"], "invalid port '²'"),
    ([], "required"),
    (["dance"], "invalid choice"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_bad_arguments(arguments, words, capsys):
    """The usage, the value, and the rule; the exit code is 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    shown = capsys.readouterr()
    assert (caught.value.code, shown.out) == (2, "")
    assert "usage: heliograph" in shown.err
    assert words in shown.err


def test_help(capsys):
    """Every option is explained."""
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--help"])

    text = capsys.readouterr().out
    assert caught.value.code == 0
    for word in ("--port", "--api-port", "--folder", "Ctrl-C"):
        assert word in text


def test_error(capsys):
    """An error of the demo is one line, and the exit code is 1."""
    assert main(["demo", "--port", "8123", "--api-port", "8123"]) == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("heliograph: --port and --api-port must differ")
    assert shown.err.count("\n") == 1


def test_missing_extra():
    """Without Flask the command says what to install."""
    program = "import sys; sys.modules['flask'] = None; from heliograph.cli import main; sys.exit(main(['demo']))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.returncode, "heliograph[flask]" in done.stderr) == (1, True)


def test_as_a_module():
    """``python -m heliograph`` is the same command."""
    done = subprocess.run(
        [sys.executable, "-m", "heliograph", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")
