"""The command ``heliograph doctor`` as a process: what it prints, and its exit codes."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from heliograph import Publisher
from heliograph.cli import main
from servers import free_port, gunicorn, serving

COMMAND = [sys.executable, "-m", "heliograph", "doctor"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with nothing to complain about, except for a channel that has ended."""
    with serving(gunicorn("doctored:app"), tmp_path_factory.mktemp("server")) as server:
        server.stream().placed().close()  # which creates the storage
        with Publisher(server.storage) as publisher:
            publisher.end("over")
        yield server


def doctor(*arguments, **env):
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
        timeout=50,
    )


def on_terminal(*arguments, **env):
    """Run the command with a terminal; return what it shows, and its exit code."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **env}
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=env
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 1 << 16):
                shown += data
        except OSError:
            pass  # EIO is the end of a terminal
        os.close(ours)
    return shown.decode(), process.returncode


# (arguments, the exit code, a line of its output)
ENDS = [
    (["/stream", "-H", "X-Key: geheim-1", "--wait", "0"], 0, "ok       status: The status is 200"),
    (["/stream?channel=over", "-H", "X: geheim-2"], 1,
     "warning  channel-ended: The status is 204: all channels of the stream have ended"),
    (["/nothing?token=geheim-3"], 2, "broken   status: The status is 404 NOT FOUND"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "line"), ENDS)
def test_piped(server, arguments, code, line):
    """Plain lines, the verdict first; a link to the page; no secret."""
    path, *options = arguments
    done = doctor(f"http://127.0.0.1:{server.port}{path}", *options)

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (code, "")
    assert line in lines
    assert "geheim" not in done.stdout
    assert "\x1b" not in done.stdout
    if code:
        finding = line.split()[1].rstrip(":")
        assert any(one.endswith(f"doctor.md#{finding}") for one in lines)


def test_json(server):
    """One document, for programs."""
    url = f"http://127.0.0.1:{server.port}/stream"
    options = [
        "--publish",
        server.storage,
        "--origin",
        "https://page.example",
        "--credentials",
    ]
    done = doctor(url, *options, "--wait", "0", "--json")
    document = json.loads(done.stdout)

    assert (done.returncode, document["exit_code"], document["url"]) == (0, 0, url)
    assert {one["verdict"] for one in document["findings"]} == {"ok", "skipped"}
    found = {one["code"]: one for one in document["findings"]}
    assert found["buffering"]["title"] == "An event arrives at once"
    assert found["preflight"]["documentation"].endswith("doctor.md#preflight")


def test_terminal(server):
    """Symbols and colours, and what is being done; without colours if somebody asks."""
    url = f"http://127.0.0.1:{server.port}/stream"
    shown, code = on_terminal(url, "--wait", "0")
    plain, _ = on_terminal(f"{url}?channel=over", NO_COLOR="1")

    assert code == 0
    assert "\x1b[32m✓\x1b[0m The status is 200" in shown
    assert "waiting for a heartbeat" in shown
    assert "The status is 204" in plain
    assert re.search(r"\x1b\[3[0-9]m", shown)
    assert not re.search(r"\x1b\[3[0-9]m", plain)


def test_nobody_listens():
    """No traceback, and what to try."""
    done = doctor(f"http://127.0.0.1:{free_port()}/stream")

    assert done.returncode == 2
    assert "Nothing listens at this port." in done.stdout
    assert done.stderr == ""


# (arguments, words of the message)
BAD = [
    (["ftp://a.example/"], "must begin with http:// or https://"),
    (["http://a.example/", "--origin", "a"], "write https://app.example"),
    (["http://a.example/", "--header", "geheim"], "there is one without a colon"),
    (["http://a.example/", "--wait", "-1"], "--wait"),
    ([], "missing argument 'URL'"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_bad_arguments(arguments, words, capsys):
    """One line with the value, the rule, and where the usage is; the exit code is 2."""
    assert main(["doctor", *arguments]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert words in shown.err
    assert "geheim" not in shown.err
    assert shown.err.count("\n") == 1
