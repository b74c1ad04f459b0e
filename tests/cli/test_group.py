"""The command as a whole: its list of commands, its errors, and its exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph import __version__
from heliograph.cli import main
from heliograph.cli.group import COMMANDS
from programs import unmeasured

# (arguments, words of the message)
BAD = [
    (["demo", "--port", "0"], "'--port': '0' must be a number from 1 to 65535"),
    (["demo", "--api-port", "65536"], "'--api-port': '65536' must be"),
    (["demo", "--port", "x"], "'x' must be"),
    (["demo", "--port", "-1"], "'-1' must be"),
    # A digit, but not a decimal one: int() would raise.
    (["demo", "--port", "²"], "'²' must be"),
    (["demo", "--prt", "1"], "heliograph demo --help shows the usage"),
    ([], "missing command; heliograph --help"),
    (["dance"], "no such command 'dance'; heliograph --help"),
    (["lisen"], "no such command 'lisen'; did you mean 'listen'?; heliograph --help"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_bad_arguments(arguments, words, capsys):
    """One line with the value, the rule, and where the usage is; the exit code is 2."""
    assert main(arguments) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("heliograph: ")
    assert words in shown.err
    assert shown.err.count("\n") == 1


def test_list(capsys):
    """All commands are listed, each with its sentence, although none is imported."""
    assert main(["--help"]) == 0

    lines = capsys.readouterr().out.splitlines()
    for name, sentence in COMMANDS.items():
        assert f"  {name:9} {sentence}" in lines


# What is imported by ``--help``, by completion and by ``demo --help``.
SPARING = [["--help"], ["demo", "--help"]]


@pytest.mark.parametrize("arguments", SPARING)
def test_imports_little(arguments):
    """Neither rich, the HTTP library nor Flask is imported before a command needs it."""
    program = (
        "import sys\nfrom heliograph.cli import main\n"
        f"assert main({arguments}) == 0\n"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=unmeasured(),  # coverage has a database
    )

    imported = set(done.stderr.split())
    assert "click" in imported
    assert not imported & {"rich", "httpx2", "anyio", "flask", "asyncio", "sqlite3"}


# (the module that is not installed, arguments, what the message says)
MISSING = [
    ("click", ["--help"], "needs click: pip install 'heliograph[cli]'"),
    ("flask", ["demo"], "needs flask: pip install 'heliograph[flask]'"),
    ("httpx2", ["listen", "http://h/"], "needs httpx2: pip install 'heliograph[client]'"),
]


@pytest.mark.parametrize(("module", "arguments", "words"), MISSING)
def test_missing_extra(module, arguments, words):
    """If something is not installed, one line says what to install."""
    program = (
        f"import sys; sys.modules[{module!r}] = None\n"
        f"from heliograph.cli import main; sys.exit(main({arguments}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert words in done.stderr


@pytest.mark.parametrize("absent", ["rich", "httpx2"])
def test_demo_needs_flask_alone(absent):
    """The demo runs without the extra ``cli``: here it gets as far as its own error."""
    program = (
        f"import sys; sys.modules[{absent!r}] = None\n"
        "from heliograph.cli import main\n"
        "sys.exit(main(['demo', '--port', '8123', '--api-port', '8123']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "must differ" in done.stderr


# (standard streams that are closed, arguments, exit code, whether stdout gets something)
CLOSED = [
    pytest.param("2>&-", ["publish", "{}", "a", "x"], 0, True, id="no-stderr"),
    pytest.param("2>&-", ["publish", "{}", "a", "x", "--skip", "1"], 2, False, id="error"),
    pytest.param(">&-", ["publish", "{}", "a", "x"], 0, False, id="no-stdout"),
    pytest.param("<&- >&- 2>&-", ["publish", "{}", "a", "x"], 0, False, id="none"),
    pytest.param("<&-", ["publish", "{}", "a", "-"], 2, False, id="no-stdin"),
]


@pytest.mark.parametrize(("streams", "arguments", "code", "has_result"), CLOSED)
def test_closed_streams(streams, arguments, code, *, has_result, tmp_path):
    """Neither the storage nor stdout gets what was meant for a stream that is closed."""
    url = f"sqlite:///{tmp_path}/new.db"
    command = [
        sys.executable,
        "-m",
        "heliograph",
        *(text.format(url) for text in arguments),
    ]

    done = subprocess.run(
        ["sh", "-c", f'"$@" {streams}', "sh", *command],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, bool(done.stdout)) == (code, has_result)
    assert "heliograph:" not in done.stdout
    assert "Traceback" not in done.stderr


def test_a_full_device(tmp_path):
    """A result that cannot be written is an error that says so."""
    url = f"sqlite:///{tmp_path}/new.db"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "heliograph", "publish", url, "a", "x"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr.endswith(
        "heliograph: input or output has failed: No space left on device\n"
    )


def test_an_encoding_without_the_characters():
    """Escape sequences are printed instead."""
    done = subprocess.run(
        [sys.executable, "-m", "heliograph", "listen", "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "redis://" in done.stdout


def test_as_a_module():
    """``python -m heliograph`` is the same command."""
    done = subprocess.run(
        [sys.executable, "-m", "heliograph", "--version"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")
